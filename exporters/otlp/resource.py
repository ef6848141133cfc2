"""Who sends: the resource and the scope of every span and metric."""

import contextlib
import os
import uuid
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from proxy.settings import Settings
from proxy.version import own_version

SCOPE = InstrumentationScope("taximeter", own_version())
FILE_NAME = "otlp-instance"
_INSTANCE = "service.instance.id"


def resource(settings: Settings, attributes: dict[str, str]) -> Resource:
    """What the operator says of this service, and what tells it from the others of its name.

    Two that count on their own must not write to the same series, so each data folder has an id. Raises OSError.
    """
    known = {"service.name": "taximeter", "service.version": own_version()} | attributes
    if _INSTANCE not in known:
        known[_INSTANCE] = instance_id(settings.run_dir / FILE_NAME)
    return Resource(known)


def instance_id(file: Path) -> str:
    """The id that stands in a file; a new one, which is put there, where there is none. Raises OSError."""
    with contextlib.suppress(FileNotFoundError, UnicodeDecodeError, ValueError):
        return str(uuid.UUID(file.read_text().strip()))
    file.parent.mkdir(parents=True, exist_ok=True)
    made = str(uuid.uuid4())
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(f"{made}\n")
    draft.replace(file)
    return made
