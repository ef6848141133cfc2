import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.clickhouse.halving import ALL_REFUSED, Halving
from exporters.clickhouse.rows import CallRow
from exporters.recorder.ports import SinkUnavailableError


class KilledError(Exception):
    pass


class Store:
    """Takes no token twice, refuses parts with a poisoned row in them, and dies after so many sends."""

    def __init__(self, poisoned=(), lives=10**9):
        self.poisoned = set(poisoned)
        self.lives = lives
        self.tokens = {}
        self.memory = ""

    @property
    def rows(self):
        return sorted(row for part in self.tokens.values() for row in part)

    def send(self, part, name):
        if not self.lives:
            raise KilledError
        self.lives -= 1
        ids = [int(row.call_id) for row in part]
        if self.poisoned.intersection(ids):
            return ValueError(f"poison in {name}")
        self.tokens.setdefault(name, ids)
        return None

    def halve(self, size, *, whole=True):
        rows = [CallRow(call_id=str(number), started_at="") for number in range(size)]
        halving = Halving(rows, send=self.send, known=self.memory, remember=lambda text: setattr(self, "memory", text))
        halving.run(ValueError("poison in all") if whole else None)
        return [int(row.call_id) for row in halving.refused], halving.reasons


@given(st.integers(1, 60), st.data())
def test_exactly_the_poisoned_rows_are_refused(size, data):
    poisoned = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    store = Store(poisoned)
    refused, reasons = store.halve(size)
    assert refused == sorted(poisoned)
    assert store.rows == sorted(set(range(size)) - poisoned)
    assert len(reasons) == len(refused)
    assert all("poison" in reason for reason in reasons)


@given(st.integers(2, 60), st.data())
def test_a_kill_at_any_moment_loses_and_doubles_nothing_even_if_the_store_was_repaired_since(size, data):
    poisoned = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    store = Store(poisoned, lives=data.draw(st.integers(0, 200)))
    try:
        refused, _ = store.halve(size)
    except KilledError:
        store.lives = 10**9
        store.poisoned = data.draw(st.sets(st.sampled_from(sorted(poisoned))))
        refused, _ = store.halve(size, whole=False)
    assert sorted([*store.rows, *refused]) == list(range(size))


def test_a_single_row_is_not_sent_again():
    store = Store({0}, lives=0)
    assert store.halve(1) == ([0], ["poison in all"])


def test_a_store_that_takes_nothing_at_all_is_not_taken_for_poison_and_nothing_is_remembered():
    store = Store(range(500))
    with pytest.raises(SinkUnavailableError, match="refuses every row: poison in"):
        store.halve(500)
    assert store.memory == ""
    store.poisoned = set()
    assert store.halve(500, whole=False) == ([], [])


def test_many_poisoned_rows_before_good_ones_do_not_stop_a_run_that_goes_on_after_a_kill():
    store = Store(range(ALL_REFUSED, 2 * ALL_REFUSED + 50), lives=200)
    with pytest.raises(KilledError):
        store.halve(1000)
    store.lives = 10**9
    refused, _ = store.halve(1000, whole=False)
    assert sorted([*store.rows, *refused]) == list(range(1000))
