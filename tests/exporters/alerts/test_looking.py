import pytest

from exporters.alerts.looking import budget_look, status_look
from exporters.alerts.memory import Memory
from exporters.alerts.rulebook import Rulebook
from exporters.recorder.status import RecorderStatus
from policies.compiled import Budget, CompiledPolicies, Window, to_json
from policies.ledger.books import BooksUnavailableError, Page, Posting
from policies.ledger.sqlite_books import SqliteBooks
from tests.fakes.alerts import HOUR_NS, NOW_NS

COUNTER = "budget:b@2026-11-01T00:00:00Z"
USD = 10**9


class Books(SqliteBooks):
    down = False

    def recorded(self, family=""):
        if self.down:
            raise BooksUnavailableError("down")
        return super().recorded(family)


@pytest.fixture
def memory(tmp_path):
    made = Memory(tmp_path / "alerts.sqlite", {"ops": "info"}, None)
    yield made
    made.close()


@pytest.fixture
def books(tmp_path):
    made = Books(tmp_path / "ledger.sqlite")
    yield made
    made.close()


@pytest.fixture
def look(tmp_path, memory, books):
    rule = Budget(name="b", policy="budget:b", unit="USD", limit=500 * USD, window=Window(shape="month"))
    file = tmp_path / "policies.json"
    file.write_bytes(to_json(CompiledPolicies(budgets=(rule,))))
    one, segments = budget_look(Rulebook(file), books), iter(range(1, 99))

    def look(spent_usd, at_ns):
        books.post([Page("w", next(segments), (Posting(COUNTER, "USD", spent_usd * USD, 0),))], at_ns)
        memory.look(one.kinds, list(one.see(memory, at_ns)), at_ns)
        message = memory.next_message("ops", at_ns, 0)
        if message is not None:
            memory.sent(message)
        return [(notice.event, notice.signal.title) for notice in message.notices] if message else []

    return look


def test_a_budget_that_will_not_last_is_told_once_and_called_off_when_it_lasts(look, books):
    assert look(100, NOW_NS) == []  # spent at any time before: no pace
    assert look(60, NOW_NS + 12 * HOUR_NS) == []  # not known for long enough
    assert look(60, NOW_NS + 24 * HOUR_NS) == [("opened", "budget b will be exhausted on Saturday, 28 November")]
    assert look(60, NOW_NS + 30 * HOUR_NS) == []
    books.down = True
    assert look(0, NOW_NS + 40 * HOUR_NS) == []  # nobody can say otherwise
    books.down = False
    assert [event for event, _ in look(0, NOW_NS + 130 * HOUR_NS)] == ["resolved"]


def test_one_that_came_true_is_not_called_off(look):
    look(100, NOW_NS)
    assert look(120, NOW_NS + 24 * HOUR_NS) != []
    assert look(280, NOW_NS + 30 * HOUR_NS) == []


def test_without_budgets_the_ledger_is_not_asked(tmp_path, memory, books):
    books.down = True
    assert list(budget_look(Rulebook(tmp_path / "none"), books).see(memory, NOW_NS)) == []


def test_losses_of_before_are_no_news_and_later_ones_are(memory):
    status = RecorderStatus(losses={"segment_damaged": 2})
    look = status_look(status)
    assert list(look.see(memory, NOW_NS)) == []
    assert list(look.see(memory, NOW_NS)) == []
    status.losses = {"segment_damaged": 3}
    assert [one.key for one in look.see(memory, NOW_NS)] == ["loss:segment_damaged"]
    assert list(look.see(memory, NOW_NS)) == []
