"""What a backup says of itself, and whether its files are still what they were."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from exporters.store.figures import TableFigures

FILE_NAME = "manifest.json"
FORMAT = 1
_PIECE_BYTES = 1024 * 1024

Progress = Callable[[str, int, int], None]
"""Hears what is being done, how much of it is done, and how much there is; both in bytes, 0 where it is not known."""


class BackupError(Exception):
    """A backup cannot be made or used; the message is one sentence for the operator."""


class FileNote(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a backup."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The file `manifest.json` of a backup. It is written last: without it there is no backup."""

    format: int = FORMAT
    """Raised when an older Taximeter could not read it any more."""
    taximeter: str
    """Version that made it."""
    engine: str
    """Version of the ClickHouse engine."""
    database: str
    schema_version: int
    """Newest migration of the tables."""
    at: str
    """The moment that it shows, ISO 8601 in UTC."""
    at_ns: int
    """The same as Unix time in nanoseconds."""
    data: str
    """File with the tables, in the engine's own BACKUP format."""
    tables: dict[str, TableFigures]
    files: dict[str, FileNote]
    """Path within the backup -> size and digest, of every file but this one."""

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(note.bytes for note in self.files.values())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup. Raises BackupError."""
    try:
        data = (folder / FILE_NAME).read_bytes()
    except OSError as error:
        raise BackupError(f"{folder} is no backup: {FILE_NAME} cannot be read ({error.strerror})") from None
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupError(f"{folder}/{FILE_NAME} cannot be understood: {error}") from None
    if manifest.format > FORMAT:
        raise BackupError(
            f"{folder} was made by Taximeter {manifest.taximeter} in a format that this version does not know"
        )
    for name in [manifest.data, *manifest.files]:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise BackupError(f"{folder}/{FILE_NAME} names a file outside of the backup: {name}")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it. Raises OSError."""
    (folder / FILE_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")


def note_files(folder: Path, progress: Progress) -> dict[str, FileNote]:
    """Read every file of a folder and note what is in it. Raises OSError."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    total, done = sum(path.stat().st_size for path in paths), 0
    notes = {}
    for path in paths:
        digest, size = hashlib.sha256(), 0
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
                progress("check", done + size, total)
        done += size
        notes[path.relative_to(folder).as_posix()] = FileNote(bytes=size, sha256=digest.hexdigest())
    return notes


def check_files(folder: Path, manifest: Manifest, progress: Progress) -> None:
    """Raises BackupError unless every file is there as it was written; OSError when one cannot be read."""
    found = note_files(folder, progress)
    for name, note in manifest.files.items():
        if name not in found:
            raise BackupError(f"{folder} is not whole: {name} is missing")
        if found[name] != note:
            raise BackupError(f"{folder} is damaged: {name} is not what was written (its sha256 differs)")
