from datetime import date

import pytest

from exporters.moving.result import CopyResult, DayResult


def day(verdict):
    return DayResult(table="calls", day=date(2026, 11, 20), rows=1, rows_there=1, money={}, verdict=verdict)


@pytest.mark.parametrize(
    ("days", "rollups", "good"),
    [
        ((), (), True),
        (("same", "more"), ("same",), True),
        (("same", "wrong"), (), False),
        (("same",), ("wrong",), False),
    ],
)
def test_one_wrong_day_spoils_it(days, rollups, good):
    result = CopyResult(
        at_ns=0,
        days=tuple(map(day, days)),
        rollups=tuple(map(day, rollups)),
        sent_rows=0,
        sent_bytes=0,
        others=(),
    )
    assert result.good is good
