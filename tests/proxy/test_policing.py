"""A worker keeps to the policies in force, and to the former ones when new ones cannot be used."""

import pytest

from policies.compiled import Budget, CompiledPolicies, Window, to_json
from proxy.child import CannotServeError
from proxy.policing import Policing
from proxy.policy_state import policies_file
from proxy.settings import Listen, Settings, StoreSettings
from proxy.unified import Unified
from tests.fakes.routes import routed


class Handler:
    governor = None
    routes = None
    upstreams = {}  # noqa: RUF012

    def __init__(self):
        self.unified = Unified({})


class Ledger:
    closed = False

    async def close(self):
        self.closed = True


@pytest.fixture
def settings(tmp_path):
    made = Settings(
        listen=Listen("127.0.0.1", 0), admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:1", user="", password=""), data_dir=tmp_path, workers=1, providers=(),
    )  # fmt: skip
    made.run_dir.mkdir()
    return made


def rules(name="b"):
    window = Window(shape="total")
    budget = Budget(name=name, policy=f"budget:{name}", unit="calls", limit=1, window=window)
    return CompiledPolicies(budgets=(budget,), hash=name)


def test_without_policies_nobody_is_asked_and_no_ledger_is_opened(settings):
    handler = Handler()
    policing = Policing(settings, handler, lambda: pytest.fail("opened"))

    policing.load(at_start=True)
    policies_file(settings).write_bytes(to_json(CompiledPolicies()))
    policing.load()

    assert handler.governor is None


def test_routes_alone_are_in_force_without_a_ledger(settings):
    handler = Handler()
    policing = Policing(settings, handler, lambda: pytest.fail("opened"))
    policies_file(settings).write_bytes(to_json(routed()))

    policing.load(at_start=True)

    assert handler.governor is None
    assert [route.name for route in handler.routes.routing.routes] == ["r"]


async def test_new_policies_take_the_place_of_the_old_ones_and_keep_the_ledger(settings):
    handler, ledger = Handler(), Ledger()
    policing = Policing(settings, handler, lambda: ledger)
    policies_file(settings).write_bytes(to_json(rules("one")))
    policing.load(at_start=True)
    first = handler.governor
    policies_file(settings).write_bytes(to_json(rules("two")))

    policing.load()

    assert handler.governor is first
    assert first.policies.hash == "two"
    await policing.close()
    assert ledger.closed


def test_a_file_that_cannot_be_used_changes_nothing_while_serving_and_ends_a_start(settings):
    handler = Handler()
    policing = Policing(settings, handler, Ledger)
    policies_file(settings).write_bytes(to_json(rules()))
    policing.load(at_start=True)
    policies_file(settings).write_bytes(b"{torn")

    policing.load()

    assert handler.governor.policies.hash == "b"
    with pytest.raises(CannotServeError):
        policing.load(at_start=True)
