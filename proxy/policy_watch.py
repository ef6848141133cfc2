"""The supervisor's care for policies and keys: read, compile, leave for the workers, and again whenever they change.

Compiled wholly, then put in force: a file with a mistake keeps what was in force before, and says so in the log and in
the state that `taximeter doctor` and the metrics show.
"""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from policies import audit
from policies.compiled import CompiledPolicies, KeyRule, to_json
from policies.keys import new_pepper
from policies.keystore import FILE_NAME, Keystore, KeystoreError
from policies.load import find_files
from proxy.config.problems import ConfigError
from proxy.governing import governing
from proxy.policing import policies_file
from proxy.settings import Settings

LOOK_S = 1.0
"""How often the files are looked at."""
STATE_NAME = "policies-state.json"
PEPPER_NAME = "keys.pepper"


class PoliciesError(Exception):
    """The policies or keys cannot be used; the message names every reason."""


class PolicyState(msgspec.Struct, frozen=True, kw_only=True):
    """How the policies stand, for doctor and metrics."""

    generation: int = 0
    hash: str = ""
    files: tuple[str, ...] = ()
    budgets: int = 0
    limits: int = 0
    keys: int = 0
    loaded_at_s: float = 0.0
    """Unix time."""
    error: str = ""
    """Why the files as they are now are not in force; empty when they are."""


class PolicyWatch:
    """Reads the policies of a data folder and keeps the workers at them.

    Args:
        settings: Of the proxy, its data folder made.
        tell: Called when the workers are to read anew.
    """

    def __init__(self, settings: Settings, tell: Callable[[], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._seen: object = None
        self._state = PolicyState()
        self._log = structlog.get_logger("policies")

    def start(self) -> None:
        """The first load; blocks. Raises PoliciesError: a Taximeter does not start on policies with mistakes."""
        self._seen = self._look()
        self._put_in_force(self._compiled())

    def look_again(self) -> None:
        """Take the files for changed at the next look."""
        self._seen = None

    async def run(self) -> None:
        """Look at the files for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            seen = await asyncio.to_thread(self._look)
            if seen != self._seen:
                self._seen = seen
                await asyncio.to_thread(self.reload)

    def reload(self) -> None:
        """Read, compile and put in force what is there now; blocks. Mistakes are told, and change nothing."""
        try:
            compiled = self._compiled()
        except PoliciesError as error:
            self._log.error("policies not changed: they have mistakes", why=str(error))
            self._tell_state(msgspec.structs.replace(self._state, error=str(error)))
            return
        if compiled.hash == self._state.hash and not self._state.error:
            return
        self._put_in_force(compiled)
        self._tell()

    def _compiled(self) -> CompiledPolicies:
        settings, now_ns = self._settings, time.time_ns()
        try:
            policies = governing(settings, now_ns=now_ns, generation=self._state.generation + 1)
            return with_keys(policies, settings, now_ns=now_ns)
        except (ConfigError, KeystoreError) as error:
            raise PoliciesError(str(error)) from error
        except OSError as error:
            raise PoliciesError(f"{error.filename or 'a policy file'}: {error.strerror or error}") from error

    def _put_in_force(self, policies: CompiledPolicies) -> None:
        file = policies_file(self._settings)
        state = PolicyState(
            generation=policies.generation,
            hash=policies.hash,
            files=policies.files,
            budgets=len(policies.budgets),
            limits=len(policies.limits),
            keys=len(policies.secrets),
            loaded_at_s=time.time(),
        )
        try:
            if policies.hash != self._state.hash and (policies.files or policies.keys):
                files = ", ".join(policies.files)
                audit.note(self._settings.data_dir, "policies.load", files, by="supervisor", hash=policies.hash)
            _replace(file, to_json(policies))
        except OSError as error:
            raise PoliciesError(f"{error.filename or file}: {error.strerror or error}") from error
        self._log.info("policies loaded", generation=state.generation, budgets=state.budgets, limits=state.limits)
        self._tell_state(state)

    def _tell_state(self, state: PolicyState) -> None:
        self._state = state
        with contextlib.suppress(OSError):  # it is only told
            _replace(self._settings.run_dir / STATE_NAME, msgspec.json.encode(state))

    def _look(self) -> object:
        """What changes when a file does."""
        store = self._settings.data_dir / FILE_NAME
        paths = [*find_files(self._settings.policy_files), store, store.with_name(f"{FILE_NAME}-wal")]
        return tuple((str(path), _signature(path)) for path in paths)


def policy_state(settings: Settings) -> PolicyState | None:
    """How the policies of a running Taximeter stand; None when none has said."""
    try:
        return msgspec.json.decode((settings.run_dir / STATE_NAME).read_bytes(), type=PolicyState)
    except (OSError, msgspec.MsgspecError):
        return None


def with_keys(policies: CompiledPolicies, settings: Settings, *, now_ns: int) -> CompiledPolicies:
    """The policies with the virtual keys; what a policy file says of a key wins over what it was made with.

    Raises KeystoreError.
    """
    path = settings.data_dir / FILE_NAME
    if not path.exists() and settings.key_mode != "virtual":
        return policies
    store = Keystore(path)
    try:
        stored, secrets = store.keys(), store.secrets(now_ns=now_ns)
    finally:
        store.close()
    keys = {key.rule.name: _rule(key.rule, disabled=key.revoked_at_ns is not None) for key in stored}
    for name, rule in policies.keys.items():
        keys[name] = _merged(keys[name], rule) if name in keys else rule
    merged = msgspec.structs.replace(policies, keys=keys, secrets=secrets, key_mode=settings.key_mode, generation=0)
    digest = hashlib.blake2b(to_json(msgspec.structs.replace(merged, hash="")), digest_size=8).hexdigest()
    return msgspec.structs.replace(merged, hash=digest, generation=policies.generation)


def key_pepper(settings: Settings) -> str:
    """What the hashes of keys are keyed with; made at the first start, readable by the owner alone. Raises OSError."""
    if settings.key_pepper:
        return settings.key_pepper
    file = settings.data_dir / PEPPER_NAME
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        _replace(file, new_pepper().encode())
    return file.read_text("ascii").strip()


def _rule(rule: KeyRule, *, disabled: bool) -> KeyRule:
    return msgspec.structs.replace(rule, disabled=True) if disabled else rule


def _merged(made: KeyRule, said: KeyRule) -> KeyRule:
    """What the policy file says, field by field, over what the key was made with."""
    default = KeyRule(name=made.name)
    changed = {
        field: getattr(said, field)
        for field in KeyRule.__struct_fields__
        if getattr(said, field) != getattr(default, field)
    }
    return msgspec.structs.replace(made, **changed)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


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
