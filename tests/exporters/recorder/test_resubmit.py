import msgspec
import pytest

from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import add_segment, instances
from exporters.recorder.follow import Follower
from exporters.recorder.resubmit import drop, resubmit
from exporters.recorder.state import State
from tests.fakes.records import call, call_id, loss, opened


class Store:
    """A store that has some calls, takes rows, and refuses them when a test says so."""

    def __init__(self):
        self.known = set()
        self.rows = {}
        self.refuses = ""

    def known_calls(self, call_ids):
        return self.known & set(call_ids)

    def insert_missing(self, table, lines, token):
        if self.refuses:
            raise ValueError(self.refuses)
        self.rows.setdefault(token, (table, lines))
        return len(lines), 0


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "recorder.sqlite")
    yield state
    state.close()


@pytest.fixture
def journal_dir(tmp_path):
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal"


def put(journal_dir, reason, *lines, instance="w"):
    quarantine = Quarantine(journal_dir)
    quarantine.put(instance, 3, reason, list(lines))
    return quarantine, quarantine.entries()[0]


def line(record):
    return msgspec.json.encode(record)


def test_lines_that_can_be_read_by_now_go_back_into_the_journal(journal_dir, store, state):
    quarantine, entry = put(journal_dir, "newer", line(call(1)), line(call(2)), line(loss(odd=3)))
    result = resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    assert (result.done, result.put_back, result.known, result.unreadable) == (True, 3, 0, 0)
    assert instances(journal_dir) == [result.instance]
    found = Follower(journal_dir, state, quarantine).look()
    assert (found.read, found.finished, found.interrupted) == ({result.instance: 1}, {result.instance}, 0)
    assert state.losses() == {"odd": 3}
    assert quarantine.entries() == []
    assert quarantine.notes()[0]["done"] == "resubmitted"


def test_a_call_that_the_store_has_is_left_out(journal_dir, store):
    store.known = {call_id(1)}
    quarantine, entry = put(journal_dir, "unreadable", line(call(1)), line(call(2)))
    result = resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    assert (result.put_back, result.known) == (1, 1)


def test_what_can_still_not_be_read_stays(journal_dir, store):
    quarantine, entry = put(journal_dir, "torn", b'{"line":"ca')
    result = resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    assert (result.done, result.why) == (False, "no line of it can be read")
    assert quarantine.entries() == [entry]
    assert instances(journal_dir) == []


def test_lines_that_can_not_be_read_beside_others_come_back(journal_dir, store, state):
    quarantine, entry = put(journal_dir, "damaged", line(call(1)), b"?")
    result = resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    assert (result.done, result.put_back, result.unreadable) == (True, 2, 1)
    Follower(journal_dir, state, quarantine).look()
    assert [(entry.instance, entry.lines) for entry in quarantine.entries()] == [(result.instance, 1)]


def test_the_beginning_of_a_call_waits_until_its_end_cannot_come_any_more(journal_dir, store, state):
    (journal_dir / "w").mkdir()
    add_segment(journal_dir, "w", 4, [call(1)])
    quarantine, entry = put(journal_dir, "newer", line(opened(1)), line(opened(2)))
    result = resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    assert not result.done
    assert "may yet hold its end" in result.why
    for path in (journal_dir / "w").iterdir():
        path.unlink()
    (journal_dir / "w").rmdir()
    store.known = {call_id(1)}
    result = resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    assert (result.done, result.put_back, result.known) == (True, 1, 1)
    assert Follower(journal_dir, state, quarantine).look().interrupted == 1


def test_the_end_of_a_call_that_counts_as_under_way_waits_until_it_is_closed(journal_dir, store):
    (journal_dir / "w").mkdir()
    quarantine, entry = put(journal_dir, "damaged", line(call(1)))
    result = resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    assert not result.done
    assert "closed as interrupted" in result.why
    (journal_dir / "w").rmdir()
    store.known = {call_id(1)}
    result = resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    assert (result.done, result.known) == (True, 1)


def test_rows_go_to_the_store_under_a_token_of_their_entry(journal_dir, store):
    quarantine, entry = put(journal_dir, "refused-calls", b'{"call_id":"a"}', b'{"call_id":"b"}')
    result = resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    assert (result.done, result.put_back, result.instance) == (True, 2, "")
    ((token, (table, lines)),) = store.rows.items()
    assert token.startswith(entry.id)
    assert (table, lines) == ("calls", [b'{"call_id":"a"}', b'{"call_id":"b"}'])
    assert (quarantine.entries(), instances(journal_dir)) == ([], [])


def test_rows_that_a_kill_has_kept_in_quarantine_go_under_the_same_token_again(journal_dir, store, monkeypatch):
    quarantine, entry = put(journal_dir, "refused-calls", b'{"call_id":"a"}')

    def killed(*_):
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(quarantine, "forget", killed)
        with pytest.raises(OSError, match="killed"):
            resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    assert len(store.rows) == 1


def test_rows_that_are_refused_again_stay_with_the_reason(journal_dir, store):
    store.refuses = "no such column"
    quarantine, entry = put(journal_dir, "refused-calls", b'{"call_id":"a"}')
    result = resubmit(quarantine, entry, journal_dir=journal_dir, store=store)
    assert (result.done, result.why) == (False, "no such column")
    assert quarantine.entries() == [entry]


def test_what_is_dropped_is_noted_and_counted_once(journal_dir, state):
    quarantine, entry = put(journal_dir, "torn", b"{", b"[")
    drop(quarantine, entry, journal_dir=journal_dir)
    assert quarantine.entries() == []
    (note,) = quarantine.notes()
    assert (note["done"], note["lines"]) == ("dropped", 2)
    Follower(journal_dir, state, quarantine).look()
    Follower(journal_dir, state, quarantine).look()
    assert state.losses() == {"quarantine_dropped": 2}
