"""How targets are, by what all workers say of them."""

from types import SimpleNamespace

from policies.breaker import Standing
from policies.compiled import CompiledPolicies, to_json
from policies.health import Bucket, Snapshot
from policies.routes_compiled import Route, RouteTarget, Routing
from proxy.target_files import Notes, write_notes
from proxy.target_status import known_targets, target_statuses

NOW_NS = 1_800_000_000 * 10**9
BUCKET = NOW_NS // (3 * 10**9)


def settings_of(tmp_path):
    routes = (Route(name="r", targets=(RouteTarget(id="a/m", provider="a"), RouteTarget(id="b/m", provider="b"))),)
    (tmp_path / "policies.json").write_bytes(to_json(CompiledPolicies(routing=Routing(routes=routes))))
    return SimpleNamespace(run_dir=tmp_path)


def note(tmp_path, worker, **targets):
    write_notes(
        tmp_path, Notes(worker=worker, written_at_s=0, targets={"a/m": Snapshot(worker=worker, version=1, **targets)})
    )


def test_without_routes_there_are_no_targets(tmp_path):
    assert known_targets(SimpleNamespace(run_dir=tmp_path)) == {}


def test_the_word_of_the_worker_that_has_seen_more_counts_and_figures_add_up(tmp_path):
    settings = settings_of(tmp_path)
    opened = Standing(state="open", since_ns=1, until_ns=NOW_NS + 10**9, trips=1, moves=1)
    note(tmp_path, "one", standing=opened, buckets=(Bucket(BUCKET, 5, 4),))
    note(tmp_path, "two", buckets=(Bucket(BUCKET, 2, 0), Bucket(BUCKET - 100, 9, 9)))
    first, second = target_statuses(settings, NOW_NS)

    assert (first.target, first.state, first.calls, first.failures) == ("a/m", "open", 7, 4)
    assert first.until == "2027-01-15T08:00:01Z"
    assert (second.target, second.state, second.calls) == ("b/m", "closed", 0)


def test_a_target_that_is_paused_is_rate_limited(tmp_path):
    settings = settings_of(tmp_path)
    note(tmp_path, "one", paused_until_ns=NOW_NS + 1)

    assert target_statuses(settings, NOW_NS)[0].state == "rate_limited"
