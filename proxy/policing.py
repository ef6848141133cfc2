"""Keeps a worker at the policies in force.

The supervisor reads and compiles the YAML, and leaves the outcome in one file; a worker reads that when it starts and
each time it is told to. A file that cannot be used changes nothing: the policies before it stay.
"""

from collections.abc import Callable

import msgspec
import structlog

from policies.compiled import CompiledPolicies, from_json
from policies.demand import Ledger
from policies.engine import Engine
from policies.keys import KeyRing
from policies.routes_compiled import NO_ROUTING
from policies.settling import Settler
from proxy.child import CannotServeError
from proxy.gate import Gate
from proxy.governor import Governor
from proxy.handler import Handler
from proxy.policy_state import policies_file
from proxy.providers import PROVIDERS
from proxy.routing import Routes, worker_name
from proxy.settings import Settings

_HOST_CURRENCIES = {host: code for provider in PROVIDERS for host, code in provider.currencies.items()}


class Policing:
    """Gives the handler of a worker its governor.

    Args:
        settings: Of the worker.
        handler: Whose calls are governed.
        open_ledger: Makes the worker's ledger; called once, when there is a first rule.
    """

    def __init__(self, settings: Settings, handler: Handler, open_ledger: Callable[[], Ledger]) -> None:
        self._file = policies_file(settings)
        self._handler = handler
        self._open_ledger = open_ledger
        self._currencies = {p.name: p.currency for p in settings.providers if p.currency}
        self._pepper = bytes.fromhex(settings.key_pepper)
        self._log = structlog.get_logger("policies")

    def load(self, *, at_start: bool = False) -> None:
        """Put the policies of the file in force.

        Raises CannotServeError at the start, when there are policies and they cannot be read: to serve without them
        would be to spend without them.
        """
        try:
            policies = from_json(self._file.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            if at_start:
                raise CannotServeError(f"the compiled policies {self._file} cannot be used: {error}") from error
            self._log.error("policies not changed: their file cannot be used", file=str(self._file), why=str(error))
            return
        governor = self._handler.governor
        if governor is not None and governor.policies.hash == policies.hash:
            return
        self._handler.gate = Gate(KeyRing(policies.secrets, self._pepper, policies.key_mode), policies.keys)
        self._handler.unified.models.install(policies)
        self._route(policies)
        engine = Engine(policies)
        if governor is None and not _has_rules(engine):
            return
        settler = Settler(policies.rates, host_currencies=_HOST_CURRENCIES, provider_currencies=self._currencies)
        if governor is None:
            self._handler.governor = Governor(engine, settler, self._open_ledger())
        else:
            governor.install(engine, settler)
        self._log.info("policies in force", generation=policies.generation, hash=policies.hash)

    def _route(self, policies: CompiledPolicies) -> None:
        """Put the routes in force; what is known of targets outlives that."""
        routes = self._handler.routes
        if routes is None:
            if policies.routing == NO_ROUTING:
                return
            routes = self._handler.routes = Routes(self._handler.upstreams, worker_name())
        routes.install(policies.routing, policies.keys)

    async def close(self) -> None:
        """Give back what the ledger has lent; call it when no call is under way any more."""
        if self._handler.governor is not None:
            await self._handler.governor.ledger.close()


def _has_rules(engine: Engine) -> bool:
    # What a key may call is a rule, too.
    return bool(engine.matcher.rules or engine.policies.keys)
