"""The store as a process: its folder, its port, its engine, from the first lock to the last.

A successor is started while its predecessor is still closing: it waits for the folder and for the port.
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from exporters.store.engine import Engine, open_engine
from exporters.store.errors import StartError
from exporters.store.folder import (
    Folder,
    FolderInUseError,
    FolderLock,
    adopt_restored,
    default_memory_bytes,
    empty_scratch,
    write_config,
)
from exporters.store.interface import Interface
from exporters.store.store import Store
from exporters.store.users import Users
from proxy.settings import Settings

WAIT_S = 30.0
"""How long a successor waits for its predecessor before it gives up."""
_FIRST_PAUSE_S = 0.05
_MOST_PAUSE_S = 1.0
_MOST_GRACE_S = 10.0
_KEEP_ALIVE_S = 90.0
_BACKLOG = 256
_MOST_LINE_BYTES = 1024 * 1024
_MOST_FIELD_BYTES = 128 * 1024
"""The limits of a real server: `http_max_uri_size`, `http_max_field_value_size`."""

T = TypeVar("T")


async def serve_store(
    settings: Settings, stop: asyncio.Event, on_ready: Callable[[], None], *, wait_s: float = WAIT_S
) -> None:
    """Serve the embedded store at `settings.store.url` from `settings.store_dir` until `stop` is set.

    `on_ready` is called once, when requests are answered. Raises StartError: the folder or the port stay taken for
    `wait_s` seconds, or the engine cannot open its data. For a process of its own: sets its time zone to UTC.
    """
    log = structlog.get_logger()
    folder = Folder(settings.store_dir)
    host, port = _address(settings.store.url)
    lock = await _patiently(lambda: _lock(folder), stop, wait_s)
    if lock is None:
        return
    sockets: list[socket.socket] | None = None
    try:
        sockets = await _patiently(lambda: _bind(host, port), stop, wait_s)
        if sockets is None:
            return
        if (former := _adopt(folder)) is not None:
            log.warning("store restored", former=str(former))
        write_config(folder, settings.store.max_memory_bytes or default_memory_bytes())
        engine = await asyncio.to_thread(open_engine, folder)
        log.info("store open", folder=str(folder.root), engine=engine.version, url=settings.store.url)
        await _serve(settings, engine, empty_scratch(folder), sockets, host, stop, on_ready)
        log.info("store closed", folder=str(folder.root))
    finally:
        for one in sockets or ():
            one.close()
        lock.release()


async def _serve(
    settings: Settings,
    engine: Engine,
    scratch_dir: Path,
    sockets: list[socket.socket],
    host: str,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    snapshots_dir = Folder(settings.store_dir).snapshots_dir
    store = Store(engine, scratch_dir, settings.store.max_queries, snapshots_dir)
    try:
        await store.start()
        interface = Interface(store, Users(settings.store), host)
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", interface.answer)
        runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE_S,
            auto_decompress=False,
            max_line_size=_MOST_LINE_BYTES,
            max_field_size=_MOST_FIELD_BYTES,
            # aiohttp takes this time twice: for the requests to end, then for each connection.
            shutdown_timeout=min(_MOST_GRACE_S, settings.shutdown_grace_s) / 2,
        )
        await runner.setup()
        try:
            for one in sockets:
                await web.SockSite(runner, one, backlog=_BACKLOG).start()
            on_ready()
            await stop.wait()
        finally:
            await runner.cleanup()
    finally:
        await store.close()


async def _patiently(attempt: Callable[[], Awaitable[T]], stop: asyncio.Event, wait_s: float) -> T | None:
    """Try until it works. Returns None if `stop` is set before. Raises StartError when the wait is over."""
    loop = asyncio.get_running_loop()
    deadline, pause_s, told = loop.time() + wait_s, _FIRST_PAUSE_S, False
    while not stop.is_set():
        try:
            return await attempt()
        except _TakenError as taken:
            if loop.time() >= deadline:
                raise StartError(f"{taken}, and was not given up within {wait_s:.0f} s") from None
            if not told:
                structlog.get_logger().warning("store waits", reason=str(taken), wait_s=wait_s)
                told = True
        try:
            async with asyncio.timeout(min(pause_s, max(0.0, deadline - loop.time()))):
                await stop.wait()
        except TimeoutError:
            pause_s = min(_MOST_PAUSE_S, pause_s * 2)
    return None


class _TakenError(Exception):
    """Somebody else has what we need; the message says who."""


async def _lock(folder: Folder) -> FolderLock:
    try:
        return FolderLock(folder)
    except FolderInUseError as error:
        raise _TakenError(str(error)) from None
    except OSError as error:
        raise StartError(f"the store's folder {folder.root} cannot be used: {error.strerror}") from error


def _adopt(folder: Folder) -> Path | None:
    try:
        return adopt_restored(folder)
    except OSError as error:
        raise StartError(f"what was restored to {folder.restored_dir} cannot be used: {error.strerror}") from error


async def _bind(host: str, port: int) -> list[socket.socket]:
    """A socket for every address of the host, none of them listening yet."""
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            one = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
    except OSError as error:
        for one in sockets:
            one.close()
        if error.errno == errno.EADDRINUSE:
            raise _TakenError(f"{host}:{port} is in use by another process") from None
        raise StartError(f"the store cannot listen on {host}:{port}: {error.strerror}") from error
    return sockets


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "http" or not parts.hostname or port is None:
        raise StartError(f"the embedded store listens on http://host:port only, not on {url!r}")
    return parts.hostname, port
