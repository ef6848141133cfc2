"""The embedded store of a data folder as the source of a copy: the one that runs, or one that is started for it.

It does not run any more when the last rows are fetched after the switch to another store.
"""

import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from exporters.moving.errors import CopyError
from exporters.store.folder import Folder, FolderInUseError, FolderLock
from proxy.child import READY
from proxy.config.credentials import with_kept_credentials
from proxy.runstate import read_state
from proxy.settings import Settings, StoreSettings, to_json
from proxy.supervisor import CHILD_COMMAND, child_environment

_DATABASE = "taximeter"
_END_S = 60.0


@contextmanager
def running_source(settings: Settings) -> Iterator[StoreSettings]:
    """Where the embedded store answers, until the block ends. Raises CopyError, CredentialsError, OSError.

    Args:
        settings: Of the Taximeter whose data folder it is; its store may be another one by now.
    """
    folder = Folder(settings.store_dir)
    if not folder.engine_dir.is_dir():
        raise CopyError(f"{folder.root} holds no store: there is nothing to copy")
    if (url := _answers_at(settings, folder)) is not None:
        own = settings.store if settings.store.embedded else StoreSettings(url=url, user="", password="")
        found = with_kept_credentials(msgspec.structs.replace(settings, store=msgspec.structs.replace(own, url=url)))
        yield found.store
        return
    database = settings.store.database if settings.store.embedded else _DATABASE
    url = f"http://127.0.0.1:{_free_port()}"
    store = StoreSettings(
        url=url,
        user="copy",
        password=secrets.token_urlsafe(18),
        database=database,
        max_memory_bytes=settings.store.max_memory_bytes,
    )
    with _child(msgspec.structs.replace(settings, store=store, providers=())):
        yield store


def _answers_at(settings: Settings, folder: Folder) -> str | None:
    """The address of the store that has the folder open, or will have it; None when none has. Raises CopyError."""
    state = read_state(settings)
    if state is not None and any(process["role"] == "store" for process in state.processes):
        # Be it just being started again: opening the folder in its place would keep it from the recorder.
        return state.store_url
    try:
        FolderLock(folder).release()
    except FolderInUseError as error:
        if settings.store.embedded:
            return settings.store.url
        raise CopyError(f"{error}, and it cannot be told where it answers") from None
    return None


@contextmanager
def _child(settings: Settings) -> Iterator[None]:
    """A store process of our own."""
    settings.run_dir.mkdir(parents=True, mode=0o700, exist_ok=True)
    process = subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
        [*CHILD_COMMAND, "store", "--slot", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(os.environ),
        # Ctrl-C is ours to hear: the store ends when we are done with it.
        start_new_session=True,
    )
    try:
        if process.stdin is None or process.stdout is None:
            raise CopyError("the store could not be started")
        process.stdin.write(to_json(settings) + b"\n")
        process.stdin.flush()
        while (line := process.stdout.readline()).strip() != READY:
            if not line:
                raise CopyError(f"the store in {settings.store_dir} does not start: its log says why")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
