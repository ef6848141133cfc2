"""Where virtual keys are kept: a SQLite file that the command line changes and the supervisor reads.

Hashes only; a key itself is seen once, by whoever made it. Revoked keys stay in it, so that their names and what they
have spent keep a meaning.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from policies.compiled import KeyRule
from policies.keys import KeySecret

FILE_NAME = "keys.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS keys (
    name TEXT PRIMARY KEY, rule BLOB NOT NULL, created_at_ns INTEGER NOT NULL, revoked_at_ns INTEGER, note TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS secrets (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL, hint TEXT NOT NULL, created_at_ns INTEGER NOT NULL,
    expires_at_ns INTEGER
) WITHOUT ROWID
"""
_DECODER = msgspec.json.Decoder(KeyRule)


class KeystoreError(Exception):
    """The keys cannot be read or changed; the message is one sentence for the operator."""


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key, for people."""

    rule: KeyRule
    created_at_ns: int
    revoked_at_ns: int | None
    note: str
    hints: tuple[str, ...]
    """Of the secrets in force."""


class Keystore:
    """The keys of one installation. All methods raise KeystoreError.

    Args:
        path: The file; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            for statement in _TABLES.split(";"):
                self._db.execute(statement)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def create(self, rule: KeyRule, secret: KeySecret, shown: str, *, now_ns: int, note: str = "") -> None:
        """Add a key with its first secret."""
        with self._transaction():
            if self._row(rule.name) is not None:
                raise KeystoreError(f"there is a key {rule.name} already; rotate it, or choose another name")
            self._db.execute(
                "INSERT INTO keys VALUES (?, ?, ?, NULL, ?)", (rule.name, msgspec.json.encode(rule), now_ns, note)
            )
            self._add_secret(secret, shown, now_ns)

    def rotate(self, name: str, secret: KeySecret, shown: str, *, now_ns: int, until_ns: int) -> None:
        """Give a key a new secret; the old ones work until `until_ns`."""
        with self._transaction():
            self._known(name)
            self._db.execute(
                "UPDATE secrets SET expires_at_ns = min(coalesce(expires_at_ns, ?1), ?1) WHERE name = ?2",
                (until_ns, name),
            )
            self._add_secret(secret, shown, now_ns)

    def revoke(self, name: str, *, now_ns: int) -> None:
        """End a key at once."""
        with self._transaction():
            self._known(name)
            self._db.execute("UPDATE keys SET revoked_at_ns = ? WHERE name = ?", (now_ns, name))
            self._db.execute("DELETE FROM secrets WHERE name = ?", (name,))

    def keys(self) -> tuple[StoredKey, ...]:
        """Every key there ever was, by name."""
        with self._transaction():
            rows = self._db.execute(
                "SELECT rule, created_at_ns, revoked_at_ns, note, "
                "(SELECT group_concat(hint, ' ') FROM secrets WHERE secrets.name = keys.name) FROM keys ORDER BY name"
            ).fetchall()
        return tuple(
            StoredKey(
                rule=_DECODER.decode(rule),
                created_at_ns=created_at_ns,
                revoked_at_ns=revoked_at_ns,
                note=said,
                hints=tuple((hints or "").split()),
            )
            for rule, created_at_ns, revoked_at_ns, said, hints in rows
        )

    def secrets(self, *, now_ns: int) -> tuple[KeySecret, ...]:
        """Every secret that works, in the order of their hashes."""
        with self._transaction():
            rows = self._db.execute(
                "SELECT digest, name, expires_at_ns FROM secrets "
                "WHERE coalesce(expires_at_ns, ?1 + 1) > ?1 ORDER BY digest",
                (now_ns,),
            ).fetchall()
        return tuple(KeySecret(digest=digest, name=name, expires_at_ns=ends) for digest, name, ends in rows)

    def _add_secret(self, secret: KeySecret, shown: str, now_ns: int) -> None:
        row = (secret.digest, secret.name, shown, now_ns, secret.expires_at_ns)
        self._db.execute("INSERT INTO secrets VALUES (?, ?, ?, ?, ?)", row)

    def _row(self, name: str) -> tuple[int | None] | None:
        found: tuple[int | None] | None = self._db.execute(
            "SELECT revoked_at_ns FROM keys WHERE name = ?", (name,)
        ).fetchone()
        return found

    def _known(self, name: str) -> None:
        row = self._row(name)
        if row is None:
            raise KeystoreError(f"there is no key {name}; `taximeter keys list` shows all")
        if row[0] is not None:
            raise KeystoreError(f"the key {name} was revoked; make another one")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained(), self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:  # whatever it was, no half of it may stay
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise KeystoreError("there is a key with this very secret already") from error
        except (OSError, sqlite3.Error) as error:
            raise KeystoreError(f"the keys in {self._path} cannot be used: {error}") from error
