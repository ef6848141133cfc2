"""The pepper: what the hashes of virtual keys are keyed with. Made once for a data folder, readable by its owner alone.

Several machines that know the same keys have the same pepper, by the configuration (`keys.pepper`).
"""

import contextlib
import os
import re
import tempfile
from pathlib import Path

from policies.keys import new_pepper

FILE_NAME = "keys.pepper"
_PEPPER = re.compile(r"[0-9a-f]{64}")


class PepperError(Exception):
    """There is a pepper, and it cannot be used; the message is one sentence for the operator."""


def pepper_of(configured: str, data_dir: Path) -> str:
    """The pepper of the configuration where there is one, else that of the data folder. Raises PepperError."""
    return configured or kept_pepper(data_dir)


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
    descriptor, draft = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # open to its owner alone
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(new_pepper().encode() + b"\n")
            opened.flush()
            os.fsync(opened.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        Path(draft).unlink()
