from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporters.alerts.reading import CallReader, family_name
from exporters.alerts.rulebook import Rulebook
from policies.compiled import Budget, CompiledPolicies, Limit, Window, to_json
from policies.ledger.books import BooksUnavailableError, Page, Posting
from policies.ledger.sqlite_books import SqliteBooks
from proxy.core.record import Caller, Draw
from tests.fakes.otlp_settings import priced
from tests.fakes.records import STARTED_NS, any_call, attempt, call

NOWHERE = Path("/nowhere/policies.json")
NOW_NS = STARTED_NS + 2 * 10**9
COUNTER = "budget:search|team=search@2026-11-01T00:00:00Z"
DRAW = Draw(counter=COUNTER, unit="USD", held=10**9)
DENIED = "budget:search:deny:spent=4.9USD,held=0.05USD,hold=0.2USD,limit=5USD"


def rules():
    shared = {"unit": "USD", "limit": 5 * 10**9, "per": ("team",)}
    return CompiledPolicies(
        budgets=(
            Budget(name="search", policy="budget:search", window=Window(shape="month"), **shared),
            Budget(
                name="day",
                policy="budget:day",
                window=Window(shape="rolling", length_ns=86_400 * 10**9, buckets=24),
                **shared,
            ),
        ),
        limits=(Limit(name="rpm", policy="limit:rpm", unit="calls", limit=60, per_ns=60 * 10**9),),
    )


class DownBooks(SqliteBooks):
    def recorded(self, family=""):
        raise BooksUnavailableError("down")


@pytest.fixture
def books(tmp_path):
    made = SqliteBooks(tmp_path / "ledger.sqlite")
    yield made
    made.close()


@pytest.fixture
def read(tmp_path, books):
    file = tmp_path / "policies.json"
    file.write_bytes(to_json(rules()))
    rulebook = Rulebook(file)
    rulebook.refresh()
    reader = CallReader(rulebook, books)
    return lambda *calls, now_ns=NOW_NS: reader.read([priced(one) for one in calls], now_ns)


def test_a_call_without_a_reason_says_nothing(read):
    assert read(call(), call(2, reasons=("budget:search:hold=0.1USD", "limit:rpm:hold=1calls", "who:knows"))) == []


def test_a_threshold_is_of_the_counter_that_the_call_drew_on(read, books):
    books.post([Page("w-0", 1, (Posting(COUNTER, "USD", 4_050_000_000, 0),))], NOW_NS)
    (seen,) = read(call(reasons=("budget:search:at=80%:alert", "budget:search:at=80%:header"), draws=(DRAW,)))
    signal = seen.describe()
    assert seen.key == f"threshold:80:{COUNTER}"
    assert signal.severity == "warning"
    assert signal.title == "budget search (team=search) has passed 80 %"
    assert signal.text == "4.05 USD of 5 USD spent. It counts until 2026-12-01T00:00:00Z."
    assert signal.fields["counter"] == COUNTER
    assert (signal.fields["spent"], signal.fields["limit"], signal.fields["unit"]) == ("4.05", "5", "USD")
    assert seen.until_ns == 1_796_083_200 * 10**9


def test_the_whole_limit_is_grave(read):
    (seen,) = read(call(reasons=("budget:search:at=100%:alert",), draws=(DRAW,)))
    assert seen.describe().severity == "critical"


def test_all_buckets_of_a_rolling_window_are_one_alert_for_as_long_as_it_is(read):
    (seen,) = read(call(reasons=("budget:day:at=80%:alert",)))
    assert seen.key == "threshold:80:budget:day|team=search"
    assert (seen.until_ns, seen.quiet_s) == (None, 86_400.0)
    assert seen.describe().text


def test_many_calls_that_say_the_same_are_one_sighting(read):
    (seen,) = read(*(call(number, reasons=(DENIED,), outcome="refused") for number in range(7)))
    assert seen.count == 7


def test_a_spent_budget_says_what_is_spent_and_when_it_frees(read):
    (seen,) = read(call(reasons=(DENIED, "budget_exceeded"), outcome="refused"))
    signal = seen.describe()
    assert (seen.kind, seen.key, signal.severity) == ("exceeded", f"exceeded:{COUNTER}", "critical")
    assert signal.text.startswith("4.9 USD of 5 USD spent, 0.05 USD held by calls under way. It frees at 2026-12-01")
    assert signal.fields["limit"] == "5 USD"


def test_refusals_from_a_threshold_on_are_of_the_same_alert(read):
    (seen,) = read(
        call(1, reasons=(DENIED,), outcome="refused"),
        call(2, reasons=("budget:search:at=95%:deny",), outcome="refused"),
    )
    assert seen.count == 2


@pytest.mark.parametrize(
    ("reason", "key", "severity", "title"),
    [
        (
            "limit:rpm:deny:spent=60calls,held=0calls,hold=1calls,limit=60calls",
            "refused:spent:limit:rpm",
            "info",
            "too fast",
        ),
        ("budget:search:deny:unknown_price", "refused:unknown_price:budget:search", "warning", "no price is known"),
        ("budget:search:deny:ledger_unavailable", "refused:ledger_unavailable:budget:search", "warning", "ledger"),
        ("budget:search:deny:other_currency=CNY", "refused:other_currency:budget:search", "info", "currency"),
        ("key:ci:expired", "refused:expired:key:ci", "info", "key ci refuses calls: the key has expired"),
    ],
)
def test_other_refusals_are_told_by_rule_and_reason(read, reason, key, severity, title):
    (seen,) = read(call(reasons=(reason,), outcome="refused"))
    signal = seen.describe()
    assert (seen.key, signal.severity) == (key, severity)
    assert title in signal.title
    assert "search ada" in signal.text


def test_what_a_shadow_would_do_is_no_alert(read):
    reasons = ("shadow:budget:search:at=80%:alert", "shadow:budget:search:would_deny", "budget:search:would_deny")
    assert read(call(reasons=reasons)) == []


def test_a_deny_on_a_call_that_went_through_is_none(read):
    assert read(call(reasons=(DENIED,))) == []


def test_a_full_journal_is_told(read):
    (seen,) = read(call(reasons=("journal_full",), outcome="refused"))
    assert (seen.key, seen.describe().severity) == ("journal_full", "critical")


def test_usage_without_a_price_is_told_by_provider_and_model(read, tmp_path, books):
    reader = CallReader(Rulebook(tmp_path / "none"), books)
    calls = [
        priced(call(1), None),
        priced(call(2), None),
        priced(call(3, attempt(model="other")), None),
        priced(call(4)),
    ]
    found = reader.read(calls, NOW_NS)
    assert {(one.key, one.count) for one in found} == {
        ("unpriced:openai:gpt-4.1-mini", 2),
        ("unpriced:openai:other", 1),
    }
    assert found[0].describe().title == "no price for gpt-4.1-mini at openai"


def test_calls_that_cost_nothing_or_used_nothing_need_no_price(read, tmp_path, books):
    reader = CallReader(Rulebook(tmp_path / "none"), books)
    unused = attempt(usage=msgspec.structs.replace(attempt().usage, source="none"))
    assert reader.read([priced(call(billable=False), None), priced(call(2, unused), None)], NOW_NS) == []


def test_a_call_of_yesterday_says_nothing(read):
    assert read(call(reasons=(DENIED,), outcome="refused"), now_ns=NOW_NS + 25 * 3600 * 10**9) == []


def test_without_policies_a_rule_is_told_by_its_name_and_what_was_drawn_on(tmp_path, books):
    reader = CallReader(Rulebook(tmp_path / "none"), books)
    record = call(reasons=("budget:gone:at=80%:alert", DENIED), outcome="refused", draws=())
    threshold, exceeded = reader.read([priced(record)], NOW_NS)
    assert threshold.key == "threshold:80:budget:gone"
    assert exceeded.quiet_s is not None
    assert threshold.describe().title == "budget gone has passed 80 %"


def test_a_ledger_that_does_not_answer_leaves_the_figures_out(tmp_path):
    books = DownBooks(tmp_path / "l.sqlite")
    reader = CallReader(Rulebook(tmp_path / "none"), books)
    (seen,) = reader.read([priced(call(reasons=("budget:search:at=80%:alert",), draws=(DRAW,)))], NOW_NS)
    assert "not known" in seen.describe().text
    books.close()


def test_names_of_callers_come_as_one_line(read):
    caller = Caller(team="search", user="jo\r\nBcc: all@example.com")
    (seen,) = read(call(caller=caller, reasons=("budget:search:deny:unbounded",), outcome="refused"))
    assert "\n" not in seen.describe().text
    assert "\r" not in str(seen.describe().fields)


def test_a_family_is_a_rule_and_whose_counter_it_is():
    assert family_name("budget:each|team=a|user=jo") == "budget each (team=a, user=jo)"
    assert family_name("limit:rpm") == "limit rpm"


REASONS = st.lists(
    st.text(max_size=30)
    | st.from_regex(
        r"(shadow:)?(budget|limit|key):[a-z]{1,4}:(at=[0-9.]{1,9}%:(alert|deny)|deny:[a-z=0-9,.]{0,20})", fullmatch=True
    ),
    max_size=4,
)


@example(call(1), ["budget:a:at=.%:alert"])
@given(any_call, REASONS)
def test_any_call_can_be_read(record, reasons):
    record = msgspec.structs.replace(record, reasons=tuple(reasons), outcome="refused")
    with_books = CallReader(Rulebook(NOWHERE), DownBooks.__new__(DownBooks))
    for seen in with_books.read([priced(record, None)], 0):
        assert seen.describe().title
