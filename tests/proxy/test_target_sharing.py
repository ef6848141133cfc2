"""Workers of one machine know of each other's targets within a second, and obey orders."""

from policies.health import Health
from policies.routes_compiled import BreakerRule, Route, RouteTarget, Routing
from proxy.routing import Routes
from proxy.target_files import write_order
from proxy.target_sharing import TargetSharing

NOW_NS = 10**18
ROUTE = Route(
    name="r", targets=(RouteTarget(id="minimax/M3", provider="minimax"),), breaker=BreakerRule(failures_in_row=1)
)


class Worker:
    def __init__(self, run_dir, name, now_ns=NOW_NS):
        self.routes = Routes({}, name, clock=lambda: now_ns)
        self.routes.install(Routing(routes=(ROUTE,)))
        self.sharing = TargetSharing(run_dir, name)
        self.now_s = 0.0

    @property
    def health(self) -> Health:
        return self.routes.targets["minimax/M3"].health

    def step(self):
        self.now_s += 1.0
        self.sharing.step(self.routes, self.now_s)


def test_a_breaker_that_opens_in_one_worker_is_open_in_the_others(tmp_path):
    one, two = Worker(tmp_path, "one"), Worker(tmp_path, "two")
    one.health.end("bad", NOW_NS)
    one.step()
    two.step()

    assert two.health.look(NOW_NS).refusal == "open"


def test_an_order_holds_in_every_worker_and_in_one_that_starts_later(tmp_path):
    write_order(tmp_path, "minimax/M3", "drain", NOW_NS - 5)
    one, late = Worker(tmp_path, "one"), Worker(tmp_path, "late")
    for worker in (one, late):
        worker.step()

    assert [worker.health.look(NOW_NS).refusal for worker in (one, late)] == ["draining", "draining"]


def test_a_target_that_was_restored_gets_calls_again(tmp_path):
    worker = Worker(tmp_path, "one")
    write_order(tmp_path, "minimax/M3", "drain", NOW_NS - 5)
    worker.step()
    write_order(tmp_path, "minimax/M3", "restore", NOW_NS - 1)
    worker.step()

    assert worker.health.standing.state == "slow_start"


def test_an_order_outlives_new_rules_for_its_target(tmp_path):
    worker = Worker(tmp_path, "one")
    write_order(tmp_path, "minimax/M3", "drain", NOW_NS - 5)
    worker.step()
    worker.routes.install(Routing(routes=(Route(name="r", targets=ROUTE.targets),)))
    worker.step()

    assert worker.health.look(NOW_NS).refusal == "draining"


def test_files_that_cannot_be_read_say_nothing(tmp_path):
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "odd.json").write_bytes(b"{torn")
    (tmp_path / "target-orders.json").write_bytes(b"\xff")
    worker = Worker(tmp_path, "one")
    worker.step()

    assert worker.health.look(NOW_NS).refusal == ""


def test_what_has_not_changed_is_not_written_again_at_once(tmp_path):
    worker = Worker(tmp_path, "one")
    worker.step()
    file = tmp_path / "targets" / "one.json"
    file.unlink()
    worker.step()

    assert not file.exists()
