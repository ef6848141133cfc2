import json

import pytest

from exporters.alerts import sink as room
from exporters.alerts.reading import CallReader
from exporters.alerts.rulebook import Rulebook
from exporters.alerts.sink import AlertsSink, Look
from exporters.recorder.ports import HasTrouble
from policies.ledger.sqlite_books import SqliteBooks
from proxy.settings import AlertSettings, HookChannel, SlackChannel
from tests.fakes.alerts import sighting, signal
from tests.fakes.hook_receiver import hook_receiver
from tests.fakes.otlp_settings import batch, priced
from tests.fakes.records import STARTED_NS, call

pytestmark = pytest.mark.real
DENIED = call(reasons=("budget:search:deny:spent=5USD,held=0USD,hold=0.2USD,limit=5USD",), outcome="refused")


class Time:
    """Of the wall and of the rest; both stand still until they are moved."""

    def __init__(self):
        self.passed_s = 0.0

    def ns(self):
        return STARTED_NS + int(self.passed_s * 1e9)

    def s(self):
        return 1000.0 + self.passed_s


@pytest.fixture
def now(monkeypatch):
    made = Time()
    monkeypatch.setattr(room.time, "monotonic", made.s)
    return made


@pytest.fixture
def hook():
    with hook_receiver() as hook:
        yield hook


@pytest.fixture
def make(tmp_path, now, hook):
    made, books = [], SqliteBooks(tmp_path / "ledger.sqlite")

    def make(*looks, channels=None, **more):
        channels = channels or (HookChannel(name="ops", hook_url=f"{hook.url}/ops", secret="s" * 24),)
        settings = AlertSettings(channels=channels, **{"group_s": 0.0} | more)
        reader = CallReader(Rulebook(tmp_path / "policies.json"), books)
        path = tmp_path / "run" / "alerts.sqlite"
        made.append(AlertsSink(settings, path, reader, looks, console="http://127.0.0.1:8485", clock=now.ns))
        return made[-1]

    yield make
    for sink in made:
        sink.close()
    books.close()


def told(hook):
    return [(one["event"], one["kind"]) for posted in hook.posted for one in json.loads(posted.body)["data"]["alerts"]]


def test_what_a_call_says_is_told_once(make, hook):
    sink = make()
    assert sink.deliver(batch(DENIED, token="t-1")) == {"sightings": 1, "messages_ops": 1}
    assert sink.deliver(batch(DENIED, token="t-2")) == {"sightings": 1}
    assert told(hook) == [("opened", "exceeded")]
    assert json.loads(hook.posted[0].body)["data"]["alerts"][0]["links"]["console"] == "http://127.0.0.1:8485"


def test_a_batch_that_says_nothing_sends_nothing(make, hook):
    assert make().deliver(batch()) == {}
    assert hook.posted == []


def test_it_is_told_once_across_restarts(make, hook):
    make().deliver(batch(DENIED, token="t-1"))
    make().deliver(batch(DENIED, token="t-2"))
    assert told(hook) == [("opened", "exceeded")]


def test_a_receiver_that_is_away_holds_up_no_batch_and_gets_it_later(make, hook, now):
    hook.next(500, 500)
    sink = make()
    assert sink.deliver(batch(DENIED, token="t-1")) == {"sightings": 1, "failed_ops": 1}
    assert "ops: " in sink.trouble
    assert "status 500" in sink.trouble
    assert isinstance(sink, HasTrouble)
    assert sink.deliver(batch(token="t-2")) == {}  # too early to try again
    for step_s in (5.0, 5.0, 5.0):
        now.passed_s += step_s
        sink.check()
    assert sink.trouble == ""
    assert len({posted.headers["webhook-id"] for posted in hook.posted}) == 1
    assert len(hook.posted) == 3


def test_a_message_that_was_not_taken_goes_out_after_a_restart_under_its_id(make, hook, now):
    hook.next(500)
    sink = make()
    sink.deliver(batch(DENIED))
    sink.close()
    make().check()
    assert len({posted.headers["webhook-id"] for posted in hook.posted}) == 1
    assert len(hook.posted) == 2


def test_a_channel_that_is_down_does_not_hold_up_another(make, hook):
    channels = (
        SlackChannel(name="down", hook_url="http://127.0.0.1:1/", severity="info"),
        HookChannel(name="ops", hook_url=hook.url, secret="s" * 24),
    )
    sink = make(channels=channels)
    assert sink.deliver(batch(DENIED)) == {"sightings": 1, "failed_down": 1, "messages_ops": 1}
    assert told(hook) == [("opened", "exceeded")]


def test_a_message_that_is_refused_is_counted_and_not_sent_again(make, hook, now):
    hook.next(422)
    sink = make()
    assert sink.deliver(batch(DENIED)) == {"sightings": 1, "refused_ops_status_422": 1}
    now.passed_s += 100
    sink.check()
    assert len(hook.posted) == 1
    assert sink.trouble == ""


def test_alerts_that_come_together_are_one_message(make, hook, now):
    sink = make(group_s=10.0)
    sink.deliver(batch(DENIED, token="t-1"))
    now.passed_s += 5
    sink.deliver(batch(priced(call(2), None), token="t-2"))
    assert hook.posted == []
    now.passed_s += 5
    sink.check()
    assert len(hook.posted) == 1
    assert told(hook) == [("opened", "exceeded"), ("opened", "unpriced")]


def test_what_a_look_finds_is_told_and_called_off(make, hook, now):
    drift = signal(kind="self_check", severity="critical")
    found = [sighting("c", signal=drift)]
    sink = make(Look(("self_check",), lambda _memory, _now_ns: found))
    sink.check()
    found.clear()
    sink.check()  # not looked at so soon
    now.passed_s += room.LOOK_S
    sink.check()
    assert told(hook) == [("opened", "self_check"), ("resolved", "self_check")]


def test_a_look_that_breaks_holds_up_no_batch(make, hook, now):
    def breaks(_memory, _now_ns):
        raise ZeroDivisionError

    sink = make(Look(("sink",), breaks))
    counts = sink.deliver(batch(DENIED))
    assert counts == {"sightings": 1, "mistakes": 1}
    assert "mistake" in sink.trouble
    sink.check()  # the look is not due: what waits goes out
    assert told(hook) == [("opened", "exceeded")]


def test_a_file_that_cannot_be_used_holds_up_no_batch(make, hook, tmp_path):
    (tmp_path / "run" / "alerts.sqlite").mkdir(parents=True)
    sink = make()
    assert sink.deliver(batch(DENIED)) == {"unseen_batches": 1}
    assert "cannot be used" in sink.trouble
    (tmp_path / "run" / "alerts.sqlite").rmdir()
    sink.deliver(batch(DENIED, token="t-2"))
    assert told(hook) == [("opened", "exceeded")]
    assert sink.trouble == ""
