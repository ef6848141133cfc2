import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from proxy.core.errors import ErrorFacts
from proxy.core.money import Money
from proxy.core.price import Card, Price, Rates
from proxy.core.pricing import price_usage
from proxy.core.record import AttemptRecord, Caller, CallRecord, TraceIds
from proxy.core.usage import NO_USAGE, Usage, UsagePart
from proxy.prices.book import PriceBook
from proxy.prices.library import PriceLibrary
from proxy.prices.load import load_book
from proxy.prices.pricer import MAX_COUNTED, UNCOUNTED, Pricer, host_name
from tests.fakes.price_files import flat

D = Decimal
NOW_NS = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) * 10**9
CURRENCIES = {"api.minimaxi.com": "CNY", "api.deepseek.com": "CNY"}
BOOK = load_book()
LIBRARY = PriceLibrary()
WIRE = Path(os.environ.get("TAXIMETER_WIRE", Path(__file__).parents[3] / "../shared/wire"))


def pricer(*layers: tuple[Price, ...], **more) -> Pricer:
    sources = [PriceBook(layers)] if layers else [BOOK, LIBRARY]
    return Pricer(sources, **({"host_currencies": CURRENCIES} | more))


def attempt(usage: Usage | None = None, **more) -> AttemptRecord:
    fields: dict[str, Any] = {
        "attempt": 1,
        "span_id": "",
        "started_at_ns": NOW_NS,
        "duration_ns": 1,
        "provider": "minimax",
        "kind": "minimax",
        "host": "api.minimax.io",
        "model": "MiniMax-M2.7",
        "status": 200,
        "usage": used(input_tokens=1000, output_tokens=0) if usage is None else usage,
    }
    return AttemptRecord(**(fields | more))


def used(**figures) -> Usage:
    return Usage(**({"source": "provider", "complete": True} | figures))


def call(**more) -> CallRecord:
    fields: dict[str, Any] = {
        "v": 1,
        "call_id": "",
        "started_at_ns": 1,
        "duration_ns": 1,
        "trace": TraceIds(trace_id="", span_id=""),
        "caller": Caller(),
        "provider": "minimax",
        "operation": "chat",
    }
    return CallRecord(**(fields | more))


def test_the_book_comes_before_the_library():
    everything = pricer()

    ours = everything.price(attempt(), call())
    theirs = everything.price(attempt(kind="openai", host="api.openai.com", model="gpt-5"), call())

    assert (ours.cost_source, ours.price_id) == ("book", "taximeter@2026-11-23/minimax/MiniMax-M2.7")
    assert theirs.cost_source == "library"
    assert theirs.price_id.startswith("genai-prices@")
    assert ours.billing == theirs.billing == "metered"


def test_the_sources_are_asked_in_order():
    first, second = PriceBook([(flat("1", match=("a",)),)]), PriceBook([(flat("2"),)])
    both = Pricer([first, second], host_currencies={})

    assert both.price(attempt(model="a"), call()).amount == D("0.001")
    assert both.price(attempt(model="b"), call()).amount == D("0.002")


def test_money_stated_by_the_provider_wins_and_the_list_price_is_kept_beside_it():
    stated = Money(D("3.2e-06"), "USD")

    priced = pricer().price(attempt(provider_cost=stated), call())

    assert (priced.amount, priced.currency, priced.cost_source) == (D("0.0000032"), "USD", "provider")
    assert priced.provider_cost == stated
    assert priced.list_cost == Money(D("0.0003"), "USD")
    assert priced.price_id.endswith("/MiniMax-M2.7")
    assert [line.part for line in priced.lines] == ["input"]


def test_money_stated_by_the_provider_needs_no_price_and_has_no_doubts():
    everything = pricer()
    stated = Money(D(0), "USD")

    priced = everything.price(attempt(used(total_tokens=5), model="unheard-of", provider_cost=stated), call())

    assert priced.amount == 0
    assert not priced.estimated
    assert priced.reasons == ()
    assert priced.list_cost is None
    assert not everything.unpriced


def test_stated_money_keeps_its_own_currency():
    priced = pricer().price(attempt(host="api.minimaxi.com", provider_cost=Money(D(1), "USD")), call())

    assert priced.currency == "USD"
    assert priced.list_cost == Money(D("0.0021"), "CNY")


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-1"])
def test_stated_money_that_cannot_be_true_is_not_believed(amount):
    priced = pricer().price(attempt(provider_cost=Money(D(amount), "USD")), call())

    assert (priced.amount, priced.cost_source) == (D("0.0003"), "book")


def test_calls_that_are_free_cost_0():
    everything = pricer()

    priced = everything.price(attempt(model="unheard-of"), call(billable=False))

    assert (priced.amount, priced.billing, priced.currency) == (D(0), "free", "USD")
    assert not everything.unpriced


def test_who_knows_how_the_key_is_billed_can_say_so():
    priced = pricer().price(attempt(billing="subscription"), call())

    assert (priced.amount, priced.billing) == (D("0.0003"), "subscription")


def test_the_currency_is_the_hosts_and_prices_of_others_do_not_exist():
    dollars = (flat("1"),)

    assert pricer(dollars).price(attempt(), call()).amount == D("0.001")
    priced = pricer(dollars).price(attempt(host="api.minimaxi.com"), call())
    assert (priced.amount, priced.currency, priced.reasons) == (None, "CNY", ("no_price",))


def test_a_host_in_china_is_never_priced_in_dollars():
    everything = pricer()
    for model in ("MiniMax-M3", "minimax-m1", "MiniMax-Text-01", "MiniMax-M2.5-lightning"):
        priced = everything.price(attempt(host="api.minimaxi.com", model=model), call())
        assert priced.currency == "CNY"
        assert priced.list_cost is None or priced.list_cost.currency == "CNY"


def test_the_operator_may_say_what_currency_an_account_is_billed_in():
    dollars = pricer(provider_currencies={"my-deepseek": "USD"})
    ours = attempt(provider="my-deepseek", kind="deepseek", host="api.deepseek.com", model="deepseek-flash")
    theirs = attempt(provider="deepseek", kind="deepseek", host="api.deepseek.com", model="deepseek-flash")

    assert dollars.price(ours, call()).currency == "USD"
    assert dollars.price(ours, call()).cost_source == "library"
    assert dollars.price(theirs, call()).currency == "CNY"
    assert dollars.price(theirs, call()).cost_source == "book"


def test_a_call_belongs_to_the_instant_at_which_its_attempt_began():
    history = (flat("1"), flat("2", effective_from_ns=NOW_NS))

    assert pricer(history).price(attempt(started_at_ns=NOW_NS - 1), call()).amount == D("0.001")
    assert pricer(history).price(attempt(started_at_ns=NOW_NS), call()).amount == D("0.002")


def test_the_service_tier_of_the_reply_decides():
    assert pricer().price(attempt(model="MiniMax-M3", service_tier="priority"), call()).amount == D("0.00045")


def test_batches_cost_batch_rates_though_no_reply_names_the_tier():
    batch = attempt(kind="openai", host="api.openai.com", model="gpt-4.1-mini")

    assert pricer().price(batch, call(operation="batch")).amount == D("0.0002")


def test_without_an_answering_model_the_requested_one_counts():
    assert pricer().price(attempt(model=""), call(model_requested="MiniMax-M2.7")).amount == D("0.0003")


def test_without_any_model_the_operation_counts():
    priced = pricer().price(attempt(used(units={"voices_created": D(1)}), model=""), call(operation="voice_design"))

    assert priced.amount == D("3.00")


def test_parts_of_an_answer_are_priced_by_their_own_model():
    part = UsagePart(kind="advisor_message", model="claude-opus-4-5", usage=used(input_tokens=1000, output_tokens=0))
    answer = attempt(
        used(input_tokens=1000, output_tokens=0, parts=(part,)),
        kind="anthropic",
        host="api.anthropic.com",
        model="claude-haiku-4-5",
    )

    assert pricer().price(answer, call()).amount == D("0.006")


def test_what_has_no_price_is_counted_by_provider_and_model():
    everything = pricer()
    for _ in range(2):
        priced = everything.price(attempt(model="embo-01"), call())
    everything.price(attempt(NO_USAGE, model="MiniMax-M3"), call())

    assert (priced.amount, priced.cost_source, priced.reasons) == (None, "none", ("no_price",))
    assert everything.unpriced == {("minimax", "embo-01"): 2, ("minimax", "MiniMax-M3"): 1}


@pytest.mark.parametrize(
    "failed",
    [
        {"status": 429},
        {"status": 500, "error": ErrorFacts(error_class="server_error")},
        {"status": 200, "error": ErrorFacts(error_class="rate_limit")},
        {"status": 0, "error": ErrorFacts(error_class="connect_error")},
    ],
)
def test_an_answer_that_is_an_error_has_no_cost_and_is_not_missed(failed):
    tool = (Price(id="x", origin="book", currency="USD", kinds=("minimax",), match=("*",), units={}),)
    everything = pricer(tool)

    assert everything.price(attempt(NO_USAGE, **failed), call()).amount is None
    assert not everything.unpriced


@pytest.mark.parametrize(
    "failed",
    [
        {"status": 0, "error": ErrorFacts(error_class="timeout")},
        {"status": 0},
        {"status": 200, "error": ErrorFacts(error_class="content_filter"), "ttft_ns": 5},
        {"status": 200},
    ],
)
def test_what_may_have_been_work_is_missed_when_no_usage_came(failed):
    everything = pricer()

    assert everything.price(attempt(NO_USAGE, **failed), call()).reasons == ("no_usage",)
    assert sum(everything.unpriced.values()) == 1


def test_an_error_with_usage_is_priced():
    broken = attempt(status=200, error=ErrorFacts(error_class="server_error"))

    assert pricer().price(broken, call()).amount == D("0.0003")


def test_made_up_models_cannot_grow_the_counts_without_end():
    everything = pricer((flat("1", match=("known",)),))
    for index in range(MAX_COUNTED + 50):
        everything.price(attempt(model=f"made-up-{index}"), call())

    assert len(everything.unpriced) == MAX_COUNTED + 1
    assert everything.unpriced[UNCOUNTED] == 50


def test_a_listing_is_in_the_hosts_currency():
    everything = pricer()
    world = everything.listing("minimax", "api.minimax.io", "MiniMax-M3", NOW_NS)
    china = everything.listing("minimax", "api.minimaxi.com", "MiniMax-M3", NOW_NS)
    library = everything.listing("openai", "api.openai.com", "gpt-5", NOW_NS)

    assert (world.currency, world.input_per_million, world.context_tokens) == ("USD", D("0.30"), 1_000_000)
    assert (china.currency, china.input_per_million) == ("CNY", D("2.10"))
    assert (library.output_per_million, library.context_tokens) == (D(10), 400_000)
    assert everything.listing("minimax", "api.minimax.io", "unheard-of", NOW_NS) is None


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.minimax.io", "api.minimax.io"),
        ("API.minimax.io:443", "api.minimax.io"),
        ("127.0.0.1:8080", "127.0.0.1"),
        ("[::1]:80", "[::1]"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_ports_are_no_part_of_a_host(host, name):
    assert host_name(host) == name


@pytest.mark.real
def test_pricing_alone_never_loads_the_library():
    code = "import sys, proxy.prices.pricer, proxy.prices.load; sys.exit('genai_prices' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3]).returncode == 0


def recorded(folder: Path) -> tuple[AttemptRecord, CallRecord, dict[str, Any]]:
    """A case of the corpus as if its facts had been read right."""
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    host = json.loads((folder / "meta.json").read_text("utf-8"))["request"]["host"]
    figures = {name: figure for name, figure in expected["usage"].items() if name in Usage.__struct_fields__}
    figures["units"] = {name: D(str(figure)) for name, figure in expected["usage"].get("units", {}).items()}
    stated = expected.get("provider_cost")
    made = attempt(
        Usage(**figures | {"source": "provider", "complete": expected["usage_complete"]}),
        provider=expected["provider"],
        kind=expected["provider"],
        host=host,
        model=expected["model"] or "",
        provider_cost=Money(D(stated["amount"]), stated["currency"]) if stated else None,
    )
    return made, call(provider=expected["provider"], operation=expected["operation"]), expected


def cases(wanted: Callable[[dict[str, Any]], object]) -> pytest.MarkDecorator:
    """Runs a test for every recorded case whose expectations are wanted; one skipped run where there is no corpus."""
    folders = [file.parent for file in sorted(WIRE.glob("*/expected.json")) if not file.parent.name.startswith("_")]
    chosen: list[Any] = []
    for folder in folders:
        expected = json.loads((folder / "expected.json").read_text("utf-8"))
        if expected.get("usage") and wanted(expected):
            chosen.append(pytest.param(folder, id=folder.name))
    missing = pytest.mark.skip(reason="the corpus of recorded traffic is not on this machine; set TAXIMETER_WIRE")
    return pytest.mark.parametrize("case", chosen or [pytest.param(WIRE, marks=missing)])


@cases(lambda expected: expected["list_cost"])
def test_recorded_usage_costs_exactly_what_the_corpus_says_at_the_rates_it_states(case):
    made, _, expected = recorded(case)
    stated = expected["list_cost"]["rates"]
    rates = {name: D(rate) for name, rate in stated.items() if name in Rates.__struct_fields__ and rate is not None}
    price = Price(id="x", origin="book", currency="USD", per=stated["per"], card=Card(Rates(**rates)))

    priced = price_usage(made.usage, price, at_ns=NOW_NS)

    assert priced.amount == D(expected["list_cost"]["amount"])
    assert not priced.estimated


@cases(lambda expected: expected["list_cost"])
def test_recorded_calls_cost_what_the_corpus_says_at_our_own_prices(case):
    made, its_call, expected = recorded(case)

    priced = pricer().price(made, its_call)

    assert priced.list_cost == Money(D(expected["list_cost"]["amount"]), expected["list_cost"]["currency"])


@cases(lambda expected: expected["provider_cost"])
def test_recorded_money_of_providers_is_what_counts(case):
    made, its_call, expected = recorded(case)

    priced = pricer().price(made, its_call)

    assert priced.cost_source == "provider"
    assert (priced.amount, priced.currency) == (D(expected["provider_cost"]["amount"]), "USD")


@cases(lambda expected: not expected["usage_complete"])
def test_recorded_partial_usage_is_unknown_or_a_flagged_lower_bound(case):
    made, its_call, _ = recorded(case)

    priced = pricer().price(made, its_call)

    assert priced.amount is None or priced.lower_bound
    assert priced.reasons
