import sqlite3

import pytest

from exporters.alerts import memory as room
from exporters.alerts.memory import Memory
from tests.fakes.alerts import HOUR_NS, NOW_NS, sighting, signal

S = 10**9
EXCEEDED = signal(kind="exceeded", severity="critical")
DRIFT = signal(kind="self_check", severity="critical")


@pytest.fixture
def make(tmp_path):
    made = []

    def make(repeat_s=None, **channels):
        made.append(Memory(tmp_path / "run" / "alerts.sqlite", channels or {"ops": "info"}, repeat_s))
        return made[-1]

    yield make
    for one in made:
        one.close()


def told(memory, channel="ops", at_ns=NOW_NS + 10**15):
    """Everything that waits for a channel: (event, key, count), taken off."""
    found = []
    while message := memory.next_message(channel, at_ns, 0):
        found += [(one.event, one.key, one.count) for one in message.notices]
        memory.sent(message)
    return found


def test_an_alert_is_told_once_however_often_it_is_seen(make):
    memory = make()
    for number in range(5):
        assert memory.take(f"t-{number}", [sighting(count=3)], NOW_NS + number * S)
    assert told(memory) == [("opened", "k", 3)]


def test_words_are_asked_for_only_when_something_is_told(make):
    memory, asked = make(), []
    for number in range(3):
        memory.take(f"t-{number}", [sighting(told=asked)], NOW_NS)
    assert asked == ["k"]


def test_it_is_remembered_across_restarts(make):
    first = make()
    first.take("t-1", [sighting()], NOW_NS)
    assert told(first) == [("opened", "k", 1)]
    first.close()
    again = make()
    again.take("t-2", [sighting()], NOW_NS)
    assert told(again) == []


def test_a_batch_that_comes_again_is_not_counted_again(make):
    memory = make(repeat_s=60)
    assert memory.take("t-1", [sighting(signal=EXCEEDED)], NOW_NS)
    assert not memory.take("t-1", [sighting(signal=EXCEEDED)], NOW_NS)
    memory.take("t-2", [sighting(signal=EXCEEDED)], NOW_NS + 61 * S)
    assert told(memory) == [("opened", "k", 1), ("repeated", "k", 2)]


def test_one_that_lasts_is_told_again_after_a_while_and_a_threshold_never(make):
    memory = make(repeat_s=3600)
    for hours in range(3):
        seen = [sighting("spent", signal=EXCEEDED), sighting("threshold")]
        memory.take(f"t-{hours}", seen, NOW_NS + hours * HOUR_NS)
    assert told(memory) == [
        ("opened", "spent", 1),
        ("opened", "threshold", 1),
        ("repeated", "spent", 2),
        ("repeated", "spent", 3),
    ]


def test_the_end_of_a_window_resolves_what_was_spent_and_ends_a_threshold_silently(make):
    memory, ends_ns = make(), NOW_NS + HOUR_NS
    seen = [sighting("spent", signal=EXCEEDED, until_ns=ends_ns), sighting("threshold", until_ns=ends_ns)]
    memory.take("t-1", seen, NOW_NS)
    told(memory)
    memory.expire(ends_ns - 1)
    assert told(memory) == []
    memory.expire(ends_ns)
    assert told(memory) == [("resolved", "spent", 1)]


def test_a_late_call_of_a_window_that_is_over_is_no_news(make):
    memory, ends_ns = make(), NOW_NS + HOUR_NS
    memory.take("t-1", [sighting(until_ns=ends_ns)], NOW_NS)
    told(memory)
    memory.expire(ends_ns)
    memory.take("t-2", [sighting(until_ns=ends_ns), sighting("other", until_ns=ends_ns)], ends_ns)
    memory.expire(ends_ns + 25 * HOUR_NS)
    memory.take("t-3", [sighting(until_ns=ends_ns)], ends_ns + 25 * HOUR_NS)
    assert told(memory) == []


def test_what_is_seen_no_more_is_over_and_news_again_afterwards(make):
    memory = make()
    memory.take("t-1", [sighting(quiet_s=60.0)], NOW_NS)
    memory.expire(NOW_NS + 60 * S)
    memory.take("t-2", [sighting(quiet_s=60.0)], NOW_NS + 60 * S)
    memory.expire(NOW_NS + 121 * S)
    memory.take("t-3", [sighting(quiet_s=60.0)], NOW_NS + 122 * S)
    assert told(memory) == [("opened", "k", 1), ("opened", "k", 1)]


def test_a_threshold_without_a_window_is_never_forgotten(make):
    memory = make()
    memory.take("t-1", [sighting()], NOW_NS)
    memory.expire(NOW_NS + 10**4 * HOUR_NS)
    memory.take("t-2", [sighting()], NOW_NS + 10**4 * HOUR_NS)
    assert told(memory) == [("opened", "k", 1)]


def test_a_standing_alert_is_resolved_when_a_look_does_not_find_it(make):
    memory = make()
    memory.look(("self_check",), [sighting("c", signal=DRIFT)], NOW_NS)
    memory.look(("self_check",), [sighting("c", signal=DRIFT)], NOW_NS + S)
    memory.look(("sink",), [], NOW_NS + S)
    assert told(memory) == [("opened", "c", 1)]
    memory.look(("self_check",), [], NOW_NS + 2 * S)
    assert told(memory) == [("resolved", "c", 2)]
    memory.look(("self_check",), [sighting("c", signal=DRIFT)], NOW_NS + 3 * S)
    assert told(memory) == [("opened", "c", 1)]


def test_a_channel_gets_what_is_grave_enough_for_it(make):
    memory = make(ops="info", pager="critical")
    memory.take("t-1", [sighting("mild"), sighting("grave", signal=EXCEEDED)], NOW_NS)
    assert [key for _, key, _ in told(memory, "ops")] == ["mild", "grave"]
    assert [key for _, key, _ in told(memory, "pager")] == ["grave"]


def test_a_first_alert_waits_for_others_to_go_with_it(make):
    memory = make()
    memory.take("t-1", [sighting("a")], NOW_NS)
    assert memory.next_message("ops", NOW_NS + 9 * S, 10) is None
    memory.take("t-2", [sighting("b")], NOW_NS + 5 * S)
    message = memory.next_message("ops", NOW_NS + 10 * S, 10)
    assert [one.key for one in message.notices] == ["a", "b"]


def test_an_alert_that_need_not_wait_goes_at_the_very_instant(make):
    memory = make()
    for offset in range(300):  # a float has steps of 256 ns there
        at_ns = 1_795_545_000_123_456_000 + offset
        memory.take(f"t-{offset}", [sighting(str(offset))], at_ns)
        assert len(told(memory, at_ns=at_ns)) == 1


def test_a_message_under_way_stays_as_it_is_until_it_was_taken(make):
    memory = make()
    memory.take("t-1", [sighting("a")], NOW_NS)
    first = memory.next_message("ops", NOW_NS, 0)
    memory.take("t-2", [sighting("b")], NOW_NS)
    memory.close()
    again = make()
    assert again.next_message("ops", NOW_NS, 0) == first
    again.sent(first)
    assert [one.key for one in again.next_message("ops", NOW_NS, 0).notices] == ["b"]


def test_what_waits_for_a_channel_that_is_away_is_bounded_and_counted(make, monkeypatch):
    monkeypatch.setattr(room, "MAX_WAITING", 3)
    memory = make()
    memory.take("t-1", [sighting(str(number)) for number in range(5)], NOW_NS)
    assert memory.dropped == 2
    assert [key for _, key, _ in told(memory)] == ["2", "3", "4"]


def test_what_waits_for_a_channel_that_is_gone_is_forgotten(make):
    memory = make(ops="info", old="info")
    memory.take("t-1", [sighting()], NOW_NS)
    memory.close()
    again = make(ops="info")
    again.forget_channels()
    assert told(again, "old") == []
    assert told(again, "ops") == [("opened", "k", 1)]


def test_a_step_that_fails_leaves_nothing_of_itself(make):
    memory = make()

    def breaks():
        raise ZeroDivisionError

    bad = sighting("b")
    with pytest.raises(ZeroDivisionError):
        memory.take("t-1", [sighting("a"), type(bad)(key="b", kind="threshold", describe=breaks)], NOW_NS)
    assert memory.take("t-1", [sighting("a")], NOW_NS)
    assert told(memory) == [("opened", "a", 1)]


def test_a_damaged_file_is_put_aside(make, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "alerts.sqlite").write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    memory = make()
    assert memory.take("t-1", [sighting()], NOW_NS)
    assert (tmp_path / "run" / "alerts.damaged").exists()


def test_a_file_that_is_no_file_is_an_error(make, tmp_path):
    (tmp_path / "run" / "alerts.sqlite").mkdir(parents=True)
    with pytest.raises(sqlite3.Error):
        make()


def test_pace_adds_up_in_buckets_and_forgets_the_oldest(make):
    memory = make()
    memory.add_pace({"c1": 5}, {"f": 5}, bucket=10, oldest=0)
    memory.add_pace({"c2": 7}, {"f": 2, "g": 1}, bucket=11, oldest=10)
    assert memory.levels() == {"c2": 7}
    assert memory.spent_lately() == {"f": 7, "g": 1}
    memory.add_pace({}, {}, bucket=12, oldest=11)
    assert memory.spent_lately() == {"f": 2, "g": 1}
