"""Where virtual keys are kept: a SQLite file that the command line changes and the supervisor reads.

Hashes only; a key itself is seen once, by whoever made it. Nothing is ever taken out of it: a key that was revoked is
refused by its name, and what it has spent keeps a meaning. A change is noted in the audit log before it counts.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from policies.compiled import KeyRule
from policies.keys import KeySecret, pepper_check

FILE_NAME = "keys.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS keys (
    name TEXT PRIMARY KEY, rule BLOB NOT NULL, created_at_ns INTEGER NOT NULL, revoked_at_ns INTEGER, note TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS secrets (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL, hint TEXT NOT NULL, created_at_ns INTEGER NOT NULL,
    expires_at_ns INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pepper (id INTEGER PRIMARY KEY CHECK (id = 1), pepper_check TEXT NOT NULL)
"""
_PATIENCE_S = 10.0
_DECODER = msgspec.json.Decoder(KeyRule)

Noting = Callable[[], object]
"""Notes a change; when it raises, the change is not made."""


class KeystoreError(Exception):
    """The keys cannot be read or changed; the message is one sentence for the operator."""


class StoredSecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One secret of a key, as it is kept."""

    digest: str
    hint: str
    created_at_ns: int
    expires_at_ns: int | None = None


class StoredKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One key, as it is kept."""

    rule: KeyRule
    created_at_ns: int
    revoked_at_ns: int | None = None
    note: str = ""
    secrets: tuple[StoredSecret, ...] = ()
    """Oldest first."""

    def hints(self, now_ns: int) -> tuple[str, ...]:
        """Of the secrets that work."""
        live = (one for one in self.secrets if one.expires_at_ns is None or one.expires_at_ns > now_ns)
        return () if self.revoked_at_ns is not None else tuple(one.hint for one in live)


class Keystore:
    """The keys of one installation. All methods raise KeystoreError.

    Args:
        path: The file; made when it is not there.
        pepper: What the hashes in it are keyed with; a file whose hashes are keyed with another is not opened.
    """

    def __init__(self, path: Path, pepper: bytes) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._explained():
            path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            path.touch(0o600)
            self._db = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
        try:
            with self._explained():
                self._prepare(pepper_check(pepper))
        except KeystoreError:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def create(self, keys: Sequence[StoredKey], noting: Noting) -> None:
        """Add keys that are not there yet, all or none."""
        with self._transaction():
            for key in keys:
                if self._row(key.rule.name) is not None:
                    raise KeystoreError(
                        f"there is a key {key.rule.name} already; rotate it, or choose another name (a revoked one "
                        "keeps its name)"
                    )
                self._put(key)
            noting()

    def rotate(self, name: str, secret: StoredSecret, *, until_ns: int, noting: Noting) -> None:
        """Give a key a new secret; the old ones work until `until_ns`."""
        with self._transaction():
            self._known(name)
            self._end(name, until_ns)
            self._add_secret(name, secret)
            noting()

    def revoke(self, name: str, *, now_ns: int, noting: Noting) -> None:
        """End a key for good."""
        with self._transaction():
            self._known(name)
            self._db.execute("UPDATE keys SET revoked_at_ns = ? WHERE name = ?", (now_ns, name))
            self._end(name, now_ns)
            noting()

    def merge(self, keys: Sequence[StoredKey], noting: Noting) -> None:
        """Take over the keys of another store: theirs are added or replace ours, but an end stays an end."""
        with self._transaction():
            for key in keys:
                name, row = key.rule.name, self._row(key.rule.name)
                revoked_at_ns = key.revoked_at_ns if row is None or row[0] is None else row[0]
                self._db.execute("DELETE FROM keys WHERE name = ?", (name,))
                self._put(msgspec.structs.replace(key, revoked_at_ns=revoked_at_ns, secrets=()))
                for secret in key.secrets:
                    self._db.execute(
                        "INSERT INTO secrets VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET expires_at_ns = "
                        "min(coalesce(expires_at_ns, excluded.expires_at_ns), "
                        "coalesce(excluded.expires_at_ns, expires_at_ns))",
                        (secret.digest, name, secret.hint, secret.created_at_ns, secret.expires_at_ns),
                    )
            noting()

    def all_keys(self) -> tuple[StoredKey, ...]:
        """Every key there ever was, by name."""
        with self._reading():
            rows = self._db.execute("SELECT name, rule, created_at_ns, revoked_at_ns, note FROM keys ORDER BY name")
            found = rows.fetchall()
            secrets: dict[str, list[StoredSecret]] = {name: [] for name, *_ in found}
            for name, digest, shown, created_at_ns, ends in self._db.execute(
                "SELECT name, digest, hint, created_at_ns, expires_at_ns FROM secrets ORDER BY created_at_ns, digest"
            ):
                one = StoredSecret(digest=digest, hint=shown, created_at_ns=created_at_ns, expires_at_ns=ends)
                secrets.setdefault(name, []).append(one)
            return tuple(
                StoredKey(
                    rule=_DECODER.decode(rule),
                    created_at_ns=created_at_ns,
                    revoked_at_ns=revoked_at_ns,
                    note=said,
                    secrets=tuple(secrets[name]),
                )
                for name, rule, created_at_ns, revoked_at_ns, said in found
            )

    def _prepare(self, check: str) -> None:
        self._db.execute("PRAGMA synchronous = FULL")
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'pepper'").fetchone():
            with self._transaction():
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute("INSERT OR IGNORE INTO pepper VALUES (1, ?)", (check,))
        if self._db.execute("SELECT pepper_check FROM pepper").fetchone() != (check,):
            raise KeystoreError(
                f"the keys in {self._path} were made with another pepper, and none of them would be known; bring back "
                "the former one (keys.pepper in the configuration, else keys.pepper in the data folder)"
            )

    def _put(self, key: StoredKey) -> None:
        row = (key.rule.name, msgspec.json.encode(key.rule), key.created_at_ns, key.revoked_at_ns, key.note)
        self._db.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?)", row)
        for secret in key.secrets:
            self._add_secret(key.rule.name, secret)

    def _add_secret(self, name: str, secret: StoredSecret) -> None:
        row = (secret.digest, name, secret.hint, secret.created_at_ns, secret.expires_at_ns)
        self._db.execute("INSERT INTO secrets VALUES (?, ?, ?, ?, ?)", row)

    def _end(self, name: str, at_ns: int) -> None:
        self._db.execute(
            "UPDATE secrets SET expires_at_ns = min(coalesce(expires_at_ns, ?1), ?1) WHERE name = ?2", (at_ns, name)
        )

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
    def _reading(self) -> Iterator[None]:
        with self._explained(), self._lock:
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise KeystoreError("there is a key with this very secret already") from error
        except (OSError, sqlite3.Error, msgspec.MsgspecError) as error:
            raise KeystoreError(f"the keys in {self._path} cannot be used or changed: {error}") from error


def secrets_of(keys: Sequence[StoredKey]) -> tuple[KeySecret, ...]:
    """Every secret of these keys, those that are over included, in the order of their hashes."""
    found = [
        KeySecret(digest=one.digest, name=key.rule.name, expires_at_ns=one.expires_at_ns)
        for key in keys
        for one in key.secrets
    ]
    return tuple(sorted(found, key=lambda secret: secret.digest))


def rule_of(key: StoredKey) -> KeyRule:
    """What a key stands for; a revoked one is disabled."""
    return key.rule if key.revoked_at_ns is None else msgspec.structs.replace(key.rule, disabled=True, revoked=True)


def changes_of(path: Path) -> bytes:
    """What differs after every change of the file: its header, with SQLite's own counter. Raises OSError."""
    with path.open("rb") as opened:
        return opened.read(100)
