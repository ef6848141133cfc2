"""A worker: one event loop that serves the data port, shared with the other workers by SO_REUSEPORT.

It imports nothing that the hot path does not need; prices, rows and spans are the recorder's.
"""

import asyncio
import gc
import socket
from collections.abc import Callable

import structlog

from policies.demand import Ledger
from proxy.child import RELOAD
from proxy.downstream.server import ClientServer
from proxy.handler import Handler, Journal
from proxy.outbox import Outbox
from proxy.policing import Policing
from proxy.providers import find_provider
from proxy.routing import worker_name
from proxy.settings import Listen, Settings
from proxy.target_sharing import TargetSharing
from proxy.upstream.provider import Upstream

_TICK_S = 0.25
"""Resolution of every time limit: one timer for the worker instead of one for each call."""
_BACKLOG = 4096
_LAST_WORDS_S = 1.0
"""What connections, and then the calls that were torn away with them, get to end and be recorded."""
_GC_THRESHOLDS = (50_000, 20, 100)
"""Calls make little cyclic garbage; the default of 700 would walk every open stream hundreds of times a second."""


async def run_worker(
    settings: Settings,
    journal: Journal,
    stop: asyncio.Event,
    on_ready: Callable[[int], None],
    open_ledger: Callable[[], Ledger],
) -> None:
    """Serve calls until `stop` is set, then let those under way finish within the grace time.

    Args:
        settings: everything there is to know.
        journal: where records go.
        stop: set by the signal handler of the process.
        on_ready: called with the port when calls are being taken.
        open_ledger: makes the ledger of this worker, if there are policies.

    Raises:
        OSError: the data port cannot be bound.
        CannotServeError: there are policies, and they cannot be read.
    """
    log = structlog.get_logger("worker")
    loop = asyncio.get_running_loop()
    outbox = Outbox(loop)
    upstreams = {p.name: Upstream(p, find_provider(p.kind), loop, outbox) for p in settings.providers}
    handler = Handler(upstreams, journal, settings)
    policing = Policing(settings, handler, open_ledger)
    policing.load(at_start=True)
    loop.add_signal_handler(RELOAD, policing.load)
    server = ClientServer(handler.handle, handler.malformed, outbox)
    listening = _listen(settings.listen)
    port = int(listening.getsockname()[1])
    accepting = await loop.create_server(server, sock=listening, backlog=_BACKLOG)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    sharing = TargetSharing(settings.run_dir, worker_name())
    ticker = asyncio.ensure_future(_tick(handler, upstreams, journal, loop, sharing))
    on_ready(port)
    try:
        await stop.wait()
        log.info("draining", calls=len(handler.calls), grace_s=settings.shutdown_grace_s)
        accepting.close()
        server.pre_shutdown()
        await handler.drain(settings.shutdown_grace_s)
    finally:
        ticker.cancel()
        await server.shutdown(_LAST_WORDS_S)
        await handler.finished(_LAST_WORDS_S)
        handler.extender.close()
        await policing.close()
        for upstream in upstreams.values():
            upstream.pool.close()


def _told(journal: Journal) -> str:
    """Say that the journal is full now, or no longer; why it is."""
    log, full = structlog.get_logger("worker"), journal.full
    if full:
        log.error("the journal is full", why=full, calls="are refused" if journal.refusing else "go on unrecorded")
    else:
        log.info("the journal has room again")
    return full


def _listen(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setblocking(False)
        sock.bind((listen.host, listen.port))
    except OSError:
        sock.close()
        raise
    return sock


async def _tick(
    handler: Handler,
    upstreams: dict[str, Upstream],
    journal: Journal,
    loop: asyncio.AbstractEventLoop,
    sharing: TargetSharing,
) -> None:
    full = ""
    while True:
        await asyncio.sleep(_TICK_S)
        now_s = loop.time()
        if journal.full != full:
            full = _told(journal)
        handler.expire(now_s)
        sharing.step(handler.routes, now_s)
        for upstream in upstreams.values():
            upstream.pool.sweep(now_s)
