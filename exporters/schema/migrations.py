"""The numbered DDL files beside this module, as values."""

import hashlib
import re
from importlib import resources

import msgspec

_FILE = re.compile(r"(?P<version>[0-9]{4})_(?P<name>[a-z0-9_]+)\.sql")
_END_OF_STATEMENT = re.compile(r";\s*$", re.MULTILINE)


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file of DDL. It is never edited once it is released: a change is a further file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Of the text as it stands in the file; 64 hex characters."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def statements(self) -> tuple[str, ...]:
        """The single statements, in order: the interface runs one at a time. One ends with `;` at the end of a line."""
        return tuple(text.strip() for text in _END_OF_STATEMENT.split(self.sql) if text.strip())


def load_migrations() -> tuple[Migration, ...]:
    """All of them, oldest first; their versions count from 1 without a gap, which a test holds."""
    found = (
        Migration(version=int(match["version"]), name=match["name"], sql=file.read_text("utf-8"))
        for file in resources.files(__package__).iterdir()
        if (match := _FILE.fullmatch(file.name))
    )
    return tuple(sorted(found, key=lambda migration: migration.version))
