"""The supervisor's care for policies and keys: read, compile, leave for the workers, and again whenever they change.

Rules of this file:
- Compiled wholly, then put in force: files with a mistake keep what was in force before, and the log and the state that
  `taximeter doctor` and the metrics show say so.
- Keys do not wait for files: a key is revoked whatever mistakes a policy file has.
- A file is read when it has been at rest between two looks: half of one can be right, and lack a cap.
"""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import structlog

from policies import audit
from policies.compiled import NO_POLICIES, CompiledPolicies, KeyRule, to_json
from policies.keystore import FILE_NAME, Keystore, KeystoreError, StoredKey, changes_of, rule_of, secrets_of
from policies.load import find_files
from proxy.config.problems import ConfigError
from proxy.governing import governing
from proxy.policy_state import STATE_NAME, PolicyState, policies_file, policy_state
from proxy.settings import Settings

LOOK_S = 0.5
"""How often files and keys are looked at."""

_NEVER = object()
"""How nothing ever looks."""


class PoliciesError(Exception):
    """The policies or keys cannot be used; the message names every reason."""


class PolicyWatch:
    """Reads the policies of a data folder and keeps the workers at them.

    Args:
        settings: Of the proxy, its data folder made and its pepper known.
        tell: Called when the workers are to read anew.
    """

    def __init__(self, settings: Settings, tell: Callable[[], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._state = msgspec.structs.replace(policy_state(settings) or PolicyState(), error="")
        self._policies = NO_POLICIES
        """Of the files, without keys."""
        self._keys: tuple[StoredKey, ...] = ()
        self._looked: object = None
        """How the files were at the last look."""
        self._files_read: object = None
        self._keys_read: object = None
        self._forced = False
        self._errors: dict[str, str] = {}
        self._log = structlog.get_logger("policies")

    def start(self) -> None:
        """The first load; blocks. Raises PoliciesError: a Taximeter does not start on policies with mistakes."""
        self._files_read = self._looked = self._files()
        self._keys_read = self._key_changes()
        self._policies, self._keys = self._compile(), self._read_keys()
        self._put_in_force(anew=True)

    def look_again(self) -> None:
        """Read everything at the next look, changed or not."""
        self._forced = True

    async def run(self) -> None:
        """Look at files and keys for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await asyncio.to_thread(self.look)
            except Exception:  # noqa: BLE001 - whatever it was: a watch that has died would keep revoked keys alive
                self._log.exception("policies could not be looked at")

    def look(self) -> None:
        """Put in force what has changed; blocks. Mistakes are told, and change nothing."""
        files, keys = self._files(), self._key_changes()
        forced, self._forced = self._forced, False
        at_rest, self._looked = files == self._looked, files
        read_files = forced or (at_rest and files != self._files_read)
        if not read_files and not forced and keys == self._keys_read:
            return
        if read_files:
            self._files_read = files
            with self._told("files"):
                self._policies = self._compile()
        with self._told("keys"):
            self._keys = self._read_keys()
            self._keys_read = keys
        with self._told("outcome"):
            try:
                changed = self._put_in_force()
            except PoliciesError:
                self._keys_read = _NEVER  # once more at the next look
                raise
            if changed:
                self._tell()
        error = "\n".join(self._errors.values())
        if error != self._state.error:
            self._tell_state(msgspec.structs.replace(self._state, error=error))

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Keep an error for the state, and say it once."""
        try:
            yield
        except PoliciesError as error:
            if self._errors.get(what) != str(error):
                self._log.error("policies not changed: they cannot be used as they are", why=str(error))
            self._errors[what] = str(error)
        else:
            self._errors.pop(what, None)

    def _compile(self) -> CompiledPolicies:
        gone = {str(Path(file).parent) for file in self._policies.files if not Path(file).parent.is_dir()}
        if gone:
            raise PoliciesError(f"{', '.join(sorted(gone))}: the folder is gone; what was read there stays in force")
        try:
            return governing(self._settings, now_ns=time.time_ns())
        except ConfigError as error:
            raise PoliciesError(str(error)) from error
        except OSError as error:
            raise PoliciesError(f"{error.filename or 'a policy file'}: {error.strerror or error}") from error

    def _read_keys(self) -> tuple[StoredKey, ...]:
        path = self._settings.data_dir / FILE_NAME
        if not path.exists():
            if self._keys:
                raise PoliciesError(f"{path} is gone; the keys that were in it stay in force until the next start")
            return ()
        try:
            store = Keystore(path, bytes.fromhex(self._settings.key_pepper))
            try:
                return store.all_keys()
            finally:
                store.close()
        except KeystoreError as error:
            raise PoliciesError(str(error)) from error

    def _put_in_force(self, *, anew: bool = False) -> bool:
        """Leave files and keys for the workers, `anew` though nothing has changed; gives whether they were left."""
        settings, before = self._settings, self._state
        policies = with_keys(self._policies, self._keys, settings)
        file = policies_file(settings)
        changed = policies.hash != before.hash
        if not changed and not anew:
            return False
        state = PolicyState(
            generation=before.generation + changed,
            hash=policies.hash,
            files=policies.files,
            budgets=len(policies.budgets),
            limits=len(policies.limits),
            keys=sum(not key.disabled for key in policies.keys.values()),
            loaded_at_s=time.time(),
            error=before.error,
        )
        try:
            _replace(file, to_json(msgspec.structs.replace(policies, generation=state.generation)))
        except OSError as error:
            raise PoliciesError(f"{error.filename or file}: {error.strerror or error}") from error
        self._tell_state(state)
        counts = {"budgets": state.budgets, "limits": state.limits, "keys": state.keys}
        self._log.info("policies loaded", generation=state.generation, **counts)
        if changed and (before.generation or policies.files or policies.keys):
            self._note(state, counts)
        return True

    def _note(self, state: PolicyState, counts: dict[str, int]) -> None:
        told = {name: str(count) for name, count in counts.items()}
        files = ", ".join(state.files)
        try:
            audit.note(
                self._settings.data_dir,
                "policies.load",
                files,
                by="supervisor",
                generation=str(state.generation),
                hash=state.hash,
                **told,
            )
        except OSError as error:
            # A full disk is no reason to keep a revoked key alive.
            self._log.error("the load of policies is not in the audit log", why=str(error))

    def _tell_state(self, state: PolicyState) -> None:
        self._state = state
        with contextlib.suppress(OSError):  # it is only told
            _replace(self._settings.run_dir / STATE_NAME, msgspec.json.encode(state))

    def _files(self) -> object:
        """What changes when a policy file does."""
        return tuple((str(path), _signature(path)) for path in find_files(self._settings.policy_files))

    def _key_changes(self) -> object:
        try:
            return changes_of(self._settings.data_dir / FILE_NAME)
        except OSError:
            return None


def with_keys(policies: CompiledPolicies, stored: tuple[StoredKey, ...], settings: Settings) -> CompiledPolicies:
    """The policies with the virtual keys; what a policy file says of a key wins over what it was made with."""
    keys = {key.rule.name: rule_of(key) for key in stored}
    for name, rule in policies.keys.items():
        keys[name] = _merged(keys[name], rule) if name in keys else rule
    merged = msgspec.structs.replace(
        policies, keys=keys, secrets=secrets_of(stored), key_mode=settings.key_mode, generation=0, hash=""
    )
    digest = hashlib.blake2b(to_json(merged), digest_size=8).hexdigest()
    return msgspec.structs.replace(merged, hash=digest)


def _merged(made: KeyRule, said: KeyRule) -> KeyRule:
    """What the policy file says, field by field, over what the key was made with."""
    default = KeyRule(name=made.name)
    changed = {
        field: getattr(said, field)
        for field in KeyRule.__struct_fields__
        if getattr(said, field) != getattr(default, field)
    }
    return msgspec.structs.replace(made, **changed)


def _signature(path: Path) -> tuple[int, int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _replace(file: Path, data: bytes) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
