"""A store for a command that needs one while nothing runs: the embedded one, for as long as the command takes."""

import contextlib
import os
import subprocess
from collections.abc import Iterator

import msgspec

from proxy.child import READY
from proxy.config.credentials import with_new_credentials
from proxy.ports import with_free_ports
from proxy.runlock import supervisor_lock
from proxy.runstate import read_state
from proxy.settings import Listen, Settings, to_json
from proxy.supervisor import CHILD_COMMAND, StartError, child_environment

_ANY = Listen("127.0.0.1", 0)
_STOP_S = 20.0


@contextlib.contextmanager
def borrowed_store(settings: Settings) -> Iterator[Settings]:
    """Settings with a store that answers: the one that runs, or the embedded one, started here and stopped at the end.

    Args:
        settings: As the running Taximeter uses them, if one runs.

    Raises:
        LockedError: Another process has the data folder, and no store of it can be reached.
        StartError: The store does not come up.
        CredentialsError, PortsError, OSError: Likewise.
    """
    if not settings.store.embedded or read_state(settings) is not None:
        yield settings
        return
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    with supervisor_lock(settings.run_dir):
        # Only the store listens.
        alone = with_free_ports(msgspec.structs.replace(settings, listen=_ANY, admin=_ANY, sandbox=None, providers=()))
        alone = with_new_credentials(alone)
        with _running(alone):
            yield msgspec.structs.replace(settings, store=alone.store)


@contextlib.contextmanager
def _running(settings: Settings) -> Iterator[None]:
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [*CHILD_COMMAND, "store", "--slot", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(os.environ),
    )
    try:
        if process.stdin is None or process.stdout is None:
            raise StartError("the store cannot be talked to")
        # It has to live to take it: what went wrong is in its log.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(to_json(settings) + b"\n")
            process.stdin.flush()
        if process.stdout.readline().strip() != READY:
            raise StartError("the embedded store does not come up; its log, above, tells why")
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
