"""The supervisor's process: everything between `taximeter serve` and its children, in the order of a start.

lock -> processes of a former start -> ports -> credentials -> policies -> children -> banner -> signals -> drain
"""

import asyncio
import contextlib
import importlib.util
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import msgspec

from policies.pepper import PepperError, pepper_of
from proxy.child import RELOAD
from proxy.config.credentials import CredentialsError, make_private_dirs, with_new_credentials
from proxy.policy_watch import PoliciesError, PolicyWatch
from proxy.ports import PortsError, with_free_ports
from proxy.providers import find_provider
from proxy.runlock import LockedError, supervisor_lock, wait_for_orphans
from proxy.runstate import RunState, write_state
from proxy.settings import Listen, ProviderSettings, Settings
from proxy.supervisor import ChildSpec, StartError, Supervisor
from proxy.version import own_version

SANDBOX = Listen("127.0.0.1", 0)
"""Where the demo's sandbox listens: any free port, nobody has to know it."""
_SPARE_S = 5.0
"""What a worker may take beyond the grace of its calls before it is killed."""


class ServeError(Exception):
    """The Taximeter cannot start; the message is for the person who started it."""


async def serve(
    settings: Settings, *, demo: bool, announce: Callable[[Settings], None], reload: Callable[[], None]
) -> None:
    """Start everything on a data folder and keep it running until SIGTERM or SIGINT, then drain.

    Args:
        settings: as loaded; ports may be 0, credentials of the embedded store may be missing.
        demo: run the sandbox provider and traffic as well.
        announce: called once with the settings in use, when all is ready.
        reload: called at every SIGHUP.

    Raises:
        ServeError: it cannot start.
    """
    stop = asyncio.Event()
    with _explained():
        _check_engine(settings)
        make_private_dirs(settings)
        with supervisor_lock(settings.run_dir):
            await wait_for_orphans(settings.run_dir, at_most_s=settings.shutdown_grace_s + 2 * _SPARE_S)
            settings = with_new_credentials(with_free_ports(settings))
            settings = msgspec.structs.replace(settings, key_pepper=pepper_of(settings.key_pepper, settings.data_dir))
            if demo:
                settings = pointed_at_sandbox(settings)
            supervisor = _supervisor(settings, demo=demo)
            policies = PolicyWatch(settings, partial(supervisor.tell, "worker", RELOAD))
            await asyncio.to_thread(policies.start)

            def read_again() -> None:
                policies.look_again()
                reload()

            _obey_signals(supervisor, stop, read_again)
            watching = asyncio.create_task(policies.run())
            try:
                if await _started(supervisor, stop):
                    announce(settings)
                    await supervisor.watch(stop)
            finally:
                watching.cancel()
                await supervisor.stop()


def demo_settings(settings: Settings) -> Settings:
    """The same Taximeter in a data folder of its own, with a sandbox provider and no real key."""
    return msgspec.structs.replace(
        settings, data_dir=settings.data_dir / "demo", sandbox=SANDBOX, providers=_without_keys(settings)
    )


def settings_for(settings: Settings, role: str) -> Settings:
    """What a role is told: everything but the secrets that it has no use for."""
    store = settings.store
    if role != "worker":
        settings = msgspec.structs.replace(settings, key_pepper="", providers=_without_keys(settings))
    if role not in {"recorder", "store"}:
        store = msgspec.structs.replace(store, password="", reader_password="")
        settings = msgspec.structs.replace(settings, store=store)
    return settings


def _without_keys(settings: Settings) -> tuple[ProviderSettings, ...]:
    return tuple(msgspec.structs.replace(one, api_key=None, api_keys=()) for one in settings.providers)


def child_specs(settings: Settings, *, demo: bool) -> list[ChildSpec]:
    """Every process, and the order in which they end: who asks, who answers, who records, who keeps."""
    worker_stop_s = settings.shutdown_grace_s + _SPARE_S
    specs = [ChildSpec("worker", slot, stop_stage=1, stop_s=worker_stop_s) for slot in range(settings.workers)]
    specs.append(ChildSpec("recorder", stop_stage=2, stop_s=30.0))
    if settings.store.embedded:
        # Calls go on without it: what it does not have yet waits in the journal.
        specs.append(ChildSpec("store", stop_stage=3, stop_s=20.0, needed=False))
    if demo:
        specs += [ChildSpec("sandbox", stop_stage=2, stop_s=5.0), ChildSpec("traffic", stop_stage=0, stop_s=5.0)]
    return specs


def _supervisor(settings: Settings, *, demo: bool) -> Supervisor:
    state = RunState(
        pid=os.getpid(),
        version=own_version(),
        started_at_s=time.time(),
        config_file=settings.config_file,
        listen=settings.listen,
        admin=settings.admin,
        store_url=settings.store.url,
        currencies={p.name: p.currency for p in settings.providers if p.currency},
    )
    return Supervisor(
        child_specs(settings, demo=demo),
        lambda role: settings_for(settings, role),
        on_change=lambda processes: write_state(settings, msgspec.structs.replace(state, processes=processes)),
    )


def _check_engine(settings: Settings) -> None:
    if settings.store.embedded and importlib.util.find_spec("chdb") is None:
        raise ServeError(
            "the embedded store needs the package extra `embedded`; install taximeter[embedded], or name a ClickHouse "
            "in the configuration (store.url)"
        )


def pointed_at_sandbox(settings: Settings) -> Settings:
    """Every provider at the sandbox, each still billed as its own host is."""
    sandbox = settings.sandbox or SANDBOX
    return msgspec.structs.replace(
        settings, providers=tuple(_sandboxed(provider, sandbox) for provider in settings.providers)
    )


def _sandboxed(provider: ProviderSettings, sandbox: Listen) -> ProviderSettings:
    url = urlsplit(provider.base_url)
    currencies = find_provider(provider.kind).currencies
    return msgspec.structs.replace(
        provider,
        base_url=f"{sandbox.url}/{provider.name}{url.path}",
        currency=provider.currency or currencies.get(url.hostname or ""),
        tls_ca_file=None,
    )


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn what may keep a Taximeter from starting into one error with one sentence."""
    try:
        yield
    except (LockedError, CredentialsError, PepperError, StartError) as error:
        raise ServeError(str(error)) from error
    except PoliciesError as error:
        raise ServeError(f"the policies or keys cannot be used:\n{error}") from error
    except PortsError as error:
        raise ServeError(f"these addresses cannot be listened on:\n{error}") from error
    except OSError as error:
        raise ServeError(f"{error.filename or 'the data folder'}: {error.strerror or error}") from error


def _obey_signals(supervisor: Supervisor, stop: asyncio.Event, reload: Callable[[], None]) -> None:
    def end() -> None:
        if stop.is_set():
            supervisor.hurry()
        stop.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_signal_handler(signal.SIGINT, end)
    loop.add_signal_handler(signal.SIGHUP, reload)


async def _started(supervisor: Supervisor, stop: asyncio.Event) -> bool:
    """Start the children; False when a signal came first."""
    starting = asyncio.create_task(supervisor.start())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return False
        await starting
        return True
    finally:
        for task in (starting, stopped):
            task.cancel()
