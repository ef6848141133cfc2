"""The pepper: what the hashes of virtual keys are keyed with. Made once for a data folder, readable by its owner alone.

Several machines that know the same keys have the same pepper, by the configuration (`keys.pepper`).
"""

import os
import re
from pathlib import Path

from policies.keys import new_pepper

FILE_NAME = "keys.pepper"
_PEPPER = re.compile(r"[0-9a-f]{64}")


class PepperError(Exception):
    """There is a pepper, and it cannot be used; the message is one sentence for the operator."""


def kept_pepper(data_dir: Path) -> str:
    """The pepper of a data folder, as 64 hex digits; made when there is none. Raises PepperError."""
    file = data_dir / FILE_NAME
    try:
        if not file.exists():
            _make(file)
        text = file.read_bytes().decode("ascii", "replace").strip()
    except OSError as error:
        raise PepperError(f"the pepper of the keys, {file}, cannot be used: {error.strerror or error}") from error
    if not _PEPPER.fullmatch(text):
        raise PepperError(f"{file} is damaged: it should hold 64 hex digits; put it back from a backup")
    return text


def _make(file: Path) -> None:
    """Whole or not at all, and of two that make one at a time both have the first."""
    file.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as opened:
        opened.write(new_pepper().encode() + b"\n")
        opened.flush()
        os.fsync(opened.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
