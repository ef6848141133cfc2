"""What runs on a data folder right now, as the supervisor last wrote it; for the command line and the admin port."""

import os
from typing import Any

import msgspec
import structlog

from proxy.runlock import supervisor_pid
from proxy.settings import Listen, Settings

FILE_NAME = "state.json"


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """The state file. It holds no secret."""

    pid: int
    version: str
    started_at_s: float
    """Unix time."""
    config_file: str | None
    listen: Listen
    admin: Listen
    store_url: str
    currencies: dict[str, str] = {}
    """Provider -> currency of its bill, where it is not its host's: the demo's providers all have one host."""
    processes: list[dict[str, Any]] = []
    """As `proxy.supervisor.Supervisor.processes` words them."""


def write_state(settings: Settings, state: RunState) -> None:
    """Replace the state file. A failure is logged: it is no reason to stop."""
    file = settings.run_dir / FILE_NAME
    draft = file.with_name(f".{FILE_NAME}.{os.getpid()}")
    try:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
        draft.replace(file)
    except OSError as error:
        structlog.get_logger().warning("state not written", file=str(file), why=error.strerror)


def read_state(settings: Settings) -> RunState | None:
    """What runs on the data folder; None when no supervisor does, or its state cannot be read."""
    pid = supervisor_pid(settings.run_dir)
    if pid is None:
        return None
    try:
        state = msgspec.json.decode((settings.run_dir / FILE_NAME).read_bytes(), type=RunState)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return state if state.pid == pid else None


def as_running(settings: Settings, state: RunState | None) -> Settings:
    """The settings with the addresses and currencies in use; the file may leave them open, or say otherwise by now."""
    if state is None:
        return settings
    store = settings.store
    if store.embedded:
        store = msgspec.structs.replace(store, url=state.store_url)
    providers = tuple(
        msgspec.structs.replace(provider, currency=state.currencies.get(provider.name, provider.currency))
        for provider in settings.providers
    )
    return msgspec.structs.replace(settings, listen=state.listen, admin=state.admin, store=store, providers=providers)
