"""How long a target takes, as far as it is known."""

from hypothesis import given
from hypothesis import strategies as st

from policies.pace import KEPT, LEAST, Pace


def test_of_few_tries_nothing_is_said():
    pace = Pace()
    for _ in range(LEAST - 1):
        pace.note(5)
    assert pace.p95_ms() is None
    pace.note(5)
    assert pace.p95_ms() == 5


def test_old_tries_are_forgotten():
    pace = Pace()
    for took_ms in [9000] * KEPT + [10] * KEPT:
        pace.note(took_ms)
    assert pace.p95_ms() == 10


@given(st.lists(st.integers(0, 10**6), min_size=LEAST, max_size=KEPT))
def test_no_more_than_one_try_in_twenty_took_longer(noted):
    pace = Pace()
    for took_ms in noted:
        pace.note(took_ms)
    p95_ms = pace.p95_ms()
    assert p95_ms in noted
    assert sum(took_ms > p95_ms for took_ms in noted) * 20 <= len(noted)
    assert sum(took_ms >= p95_ms for took_ms in noted) * 20 >= len(noted)
