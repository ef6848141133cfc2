import json

from exporters.reports.errors import StoreUnreachableError
from policies.compiled import Budget
from policies.ledger.books import BooksUnavailableError, Recorded
from policies.windows import Window
from proxy.app_reports import budgets_from, told_call
from proxy.settings import Listen, Settings, StoreSettings
from tests.fakes.finance import PERIOD

MONTHLY = Budget(name="team", policy="budget:team", unit="USD", limit=5 * 10**9, window=Window(shape="month"))
COUNTER = "budget:team@2026-11-01T00:00:00Z"
IN_NOVEMBER_NS, IN_DECEMBER_NS = PERIOD.until_ns - 1, PERIOD.until_ns + 10**15
BOOKED = Recorded(
    counter=COUNTER, family="budget:team", unit="USD", spent=7, leased=1, allowed=0, starts_at_ns=PERIOD.since_ns,
    ends_at_ns=PERIOD.until_ns,
)  # fmt: skip


class Store:
    """Has these windows."""

    def __init__(self, *rows, down=False):
        self.found, self.down = rows, down

    def rows(self, _):
        if self.down:
            raise StoreUnreachableError("No store answers.")
        return list(self.found)


def stood(store, recorded, now_ns, at_ns=IN_NOVEMBER_NS):
    found = budgets_from(lambda: {"budget:team": MONTHLY}, lambda: (recorded, ()), store, lambda: now_ns)(at_ns)
    return [(one.spent, one.held) for one in found.standings], found.problem


def test_of_the_present_the_books_tell():
    assert stood(Store(), [BOOKED], IN_NOVEMBER_NS) == ([(7, 1)], "")


def test_of_a_window_that_the_books_have_dropped_the_store_tells():
    assert stood(Store((COUNTER, "9", PERIOD.since_ns, 3)), [], IN_DECEMBER_NS) == ([(9, 0)], "")


def test_the_books_come_before_the_store():
    assert stood(Store((COUNTER, "9", PERIOD.since_ns, 3)), [BOOKED], IN_DECEMBER_NS) == ([(7, 1)], "")


def test_without_a_store_it_says_so():
    assert stood(Store(down=True), [BOOKED], IN_NOVEMBER_NS) == ([(7, 1)], "The store was not asked: No store answers.")


def test_a_ledger_that_does_not_answer_is_not_taken_for_nothing_spent():
    def books():
        raise BooksUnavailableError("locked")

    found = budgets_from(lambda: {"budget:team": MONTHLY}, books, Store())(IN_NOVEMBER_NS)
    assert (list(found.standings), found.problem) == ([], "The ledger does not answer: locked")


def test_without_a_budget_nobody_is_asked():
    found = budgets_from(dict, lambda: json.loads("no"), Store(down=True))(IN_NOVEMBER_NS)
    assert (list(found.standings), found.problem) == ([], "")


def test_a_call_cannot_be_told_without_a_store(tmp_path):
    settings = Settings(
        listen=Listen("127.0.0.1", 0), admin=Listen("127.0.0.1", 0), data_dir=tmp_path, workers=1, providers=(),
        store=StoreSettings(url="http://127.0.0.1:1", user="", password=""),
    )  # fmt: skip
    assert told_call(settings, "c1", "UTC", as_json=True).problem.startswith("No store answers")
