"""What was spent in windows that are over, and who says so."""

from exporters.alerts.pace import DAY_NS, PACE_NS
from exporters.ledger.past import history, lately
from policies.ledger.books import Recorded

NOW_NS = 100 * DAY_NS
OLD, NEW = "budget:b|team=a@2026-10-01T00:00:00Z", "budget:b|team=a@2026-11-01T00:00:00Z"


def recorded(counter, spent):
    return Recorded(
        counter=counter, family=counter.partition("@")[0], unit="USD", spent=spent, leased=0, allowed=0, starts_at_ns=0,
        ends_at_ns=None,
    )  # fmt: skip


def test_the_books_come_first_and_the_store_has_what_they_dropped():
    found = history(
        "budget:b", [recorded(NEW, 5), recorded("budget:bb", 1)], lambda _: [(NEW, "6", 1, 2), (OLD, "4", 1, 3)]
    )
    assert [(one.window, one.scope, one.spent, one.by, one.calls) for one in found] == [
        ("2026-11-01T00:00:00Z", "team=a", 5, "ledger", 2),
        ("2026-10-01T00:00:00Z", "team=a", 4, "store", 3),
    ]
    assert [one.calls for one in history("budget:b", [recorded(NEW, 5)], None)] == [None]


def test_a_pace_is_of_seven_days_or_of_what_is_known():
    rows = [(OLD, "4", NOW_NS - 2 * DAY_NS, 1), (NEW, "3", NOW_NS - DAY_NS, 1)]
    found = lately(lambda _: rows, NOW_NS)
    assert (found.spent, found.known_ns) == ({"budget:b|team=a": 7}, 2 * DAY_NS)
    assert lately(lambda _: [(OLD, "4", NOW_NS - PACE_NS + 5, 1)], NOW_NS).known_ns == PACE_NS
    assert lately(lambda _: [], NOW_NS).known_ns == 0
