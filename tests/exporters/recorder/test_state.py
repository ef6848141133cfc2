import sqlite3

import pytest

from exporters.recorder.state import Memory, State, doubts_on_disk, losses_on_disk, memory_on_disk


@pytest.fixture
def path(tmp_path):
    return tmp_path / "recorder.sqlite"


@pytest.fixture
def state(path):
    state = State(path)
    yield state
    state.close()


def read(state, instance="w", number=1, opened=None, closed=(), losses=None):
    state.commit_read(instance, number, opened=opened or {}, closed=closed, losses=losses or {})


def test_a_new_recorder_knows_nothing(state):
    assert state.read_up_to("w") == 0
    assert state.open_lines("w") == []
    assert state.cursors("clickhouse") == {}
    assert state.losses() == {}
    assert state.known_instances() == set()


def test_open_calls_stay_until_they_are_closed(state):
    read(state, number=1, opened={"b": b"line b", "a": b"line a"})
    assert state.open_lines("w") == [b"line a", b"line b"]
    assert state.open_calls() == 2
    read(state, number=2, opened={"c": b"line c"}, closed=["a", "never opened"])
    assert state.open_lines("w") == [b"line b", b"line c"]
    assert state.read_up_to("w") == 2


def test_calls_of_two_instances_are_not_mixed_up(state):
    read(state, "w", 1, opened={"a": b"of w"})
    read(state, "x", 5, opened={"a": b"of x"})
    read(state, "x", 6, closed=["a"])
    assert state.open_lines("w") == [b"of w"]
    assert (state.read_up_to("w"), state.read_up_to("x")) == (1, 6)


def test_losses_add_up(state):
    read(state, number=1, losses={"odd": 2})
    read(state, number=2, losses={"odd": 3, "even": 1})
    assert state.losses() == {"odd": 5, "even": 1}


def test_every_sink_has_its_own_cursor_and_counts(state):
    state.commit_delivered("one", {"w": 3}, {"calls": 10})
    state.commit_delivered("one", {"w": 4}, {"calls": 5, "refused": 1})
    state.commit_delivered("two", {"w": 1}, {"calls": 10})
    assert (state.cursors("one"), state.cursors("two")) == ({"w": 4}, {"w": 1})
    assert state.counts("one") == {"calls": 15, "refused": 1}
    assert state.losses() == {}


def test_a_step_is_done_whole_or_not_at_all(state):
    read(state, number=1, losses={"odd": 1})
    with pytest.raises(sqlite3.Error):
        read(state, number=2, losses={"odd": 1}, opened={"a": object()})
    with pytest.raises(sqlite3.Error):
        state.commit_delivered("one", {"w": object()}, {"calls": 1})
    assert (state.read_up_to("w"), state.losses(), state.counts("one")) == (1, {"odd": 1}, {})
    read(state, number=2, losses={"odd": 1})
    assert (state.read_up_to("w"), state.losses()) == (2, {"odd": 2})


def test_it_remembers_over_a_restart(path):
    first = State(path)
    read(first, number=7, opened={"a": b"line"}, losses={"odd": 1})
    first.commit_delivered("one", {"w": 6}, {"calls": 1})
    first.close()
    second = State(path)
    assert second.read_up_to("w") == 7
    assert second.open_lines("w") == [b"line"]
    assert second.cursors("one") == {"w": 6}
    second.close()


def test_an_instance_is_forgotten_and_its_counts_are_not(state):
    read(state, number=7, opened={"a": b"line"}, losses={"odd": 1})
    state.commit_delivered("one", {"w": 7}, {"calls": 1})
    assert state.known_instances() == {"w"}
    state.forget("w")
    assert (state.known_instances(), state.open_calls(), state.read_up_to("w")) == (set(), 0, 0)
    assert (state.losses(), state.counts("one")) == ({"odd": 1}, {"calls": 1})


def test_a_damaged_file_is_put_aside_and_counted(path):
    path.write_bytes(b"this is no database, and long enough to be one" * 100)
    state = State(path)
    assert state.losses() == {"state_damaged": 1}
    read(state, number=1)
    state.close()
    assert path.with_suffix(".damaged").read_bytes().startswith(b"this is no database")


def test_a_file_that_cannot_be_opened_is_not_put_aside(tmp_path):
    with pytest.raises(sqlite3.OperationalError):
        State(tmp_path / "gone" / "recorder.sqlite")


def test_losses_can_be_looked_up_without_touching_anything(path, state):
    read(state, number=1, losses={"odd": 2})
    assert losses_on_disk(path) == {"odd": 2}
    assert losses_on_disk(path.with_name("gone.sqlite")) == {}
    assert not path.with_name("gone.sqlite").exists()
    path.with_name("odd.sqlite").write_bytes(b"no database" * 100)
    assert losses_on_disk(path.with_name("odd.sqlite")) == {}


def test_a_parcel_is_remembered_until_it_was_taken(path):
    first = State(path)
    assert first.parcel("one") == []
    first.commit_parcel("one", [("x", 3), ("w", 7), ("w", 8)])
    first.commit_parcel("two", [("w", 1)])
    first.close()
    second = State(path)
    assert second.parcel("one") == [("x", 3), ("w", 7), ("w", 8)]
    second.commit_delivered("one", {"x": 3, "w": 8}, {})
    assert (second.parcel("one"), second.parcel("two")) == ([], [("w", 1)])
    assert second.cursors("one") == {"x": 3, "w": 8}
    second.commit_parcel("two", [("w", 2)])
    assert second.parcel("two") == [("w", 2)]
    second.close()


def test_what_is_remembered_can_be_told_without_touching_it(tmp_path):
    path = tmp_path / "recorder.sqlite"
    assert memory_on_disk(path) == Memory()
    assert not path.exists()
    state = State(path)
    state.commit_read("w", 4, opened={"a": b"{}"}, closed=[], losses={"odd": 2})
    state.commit_delivered("one", {"w": 3}, {"calls": 7})
    state.commit_parcel("two", [("w", 1), ("w", 2)])
    memory = memory_on_disk(path)
    assert memory == Memory(
        read={"w": 4},
        cursors={"one": {"w": 3}},
        under_way={"two": 2},
        open_calls=1,
        losses={"odd": 2},
        counts={"one": {"calls": 7}},
    )
    state.close()
    path.write_bytes(b"x" * 5000)
    assert memory_on_disk(path) == Memory()


def test_what_was_there_before_the_file_is_in_doubt_until_it_is_gone(path, state):
    assert doubts_on_disk(path) == {}
    state.begin({"w": 3, "x": 1})
    assert doubts_on_disk(path) == {"w": 3, "x": 1}
    state.begin({"w": 9, "y": 1})
    assert doubts_on_disk(path) == {"w": 3, "x": 1}, "only what was there when it was made"
    state.forget("w")
    assert doubts_on_disk(path) == {"x": 1}


def test_an_instance_that_is_gone_and_may_return_is_in_doubt_as_far_as_it_was_known(path, state):
    read(state, "w", 5)
    state.commit_delivered("clickhouse", {"w": 4}, {})
    state.forget("w", may_return=True)
    assert (state.read_up_to("w"), state.cursors("clickhouse")) == (0, {})
    assert doubts_on_disk(path) == {"w": 5}
    state.forget("w", may_return=True)
    assert doubts_on_disk(path) == {"w": 5}
    state.forget("w")
    assert doubts_on_disk(path) == {}


def test_where_there_is_no_file_nothing_is_in_doubt(tmp_path):
    assert doubts_on_disk(tmp_path / "none.sqlite") == {}
    (tmp_path / "odd.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        doubts_on_disk(tmp_path / "odd.sqlite")
