"""Answers that several models worked on: the parts come on top, each at its own price."""

from decimal import Decimal

from proxy.core.price import Card, Price, Rates
from proxy.core.pricing import Priced, price_usage
from proxy.core.usage import Usage, UsagePart

D = Decimal


def price(input_rate: str = "0.30", output_rate: str = "1.20", *, name: str = "model", currency: str = "USD") -> Price:
    card = Card(Rates(input=D(input_rate), output=D(output_rate)))
    return Price(id=f"list/{name}", origin="book", currency=currency, card=card)


def used(**figures) -> Usage:
    return Usage(source="provider", complete=True, **figures)


def cost(usage: Usage, **more) -> Priced:
    return price_usage(usage, price(), at_ns=0, **more)


ADVISOR = UsagePart(kind="advisor_message", model="opus", usage=used(input_tokens=1000, output_tokens=100))


def test_parts_are_priced_by_their_own_model_and_added():
    opus = price("5", "25", name="opus")

    priced = cost(
        used(input_tokens=10, output_tokens=1, parts=(ADVISOR,)),
        find_part=lambda model: opus if model == "opus" else None,
    )

    assert priced.amount == D("0.0075042")
    assert {line.price_id for line in priced.lines} == {"list/model", "list/opus"}


def test_a_part_that_names_no_model_is_the_answering_models():
    compaction = UsagePart(kind="compaction", model=None, usage=used(input_tokens=10, output_tokens=0))

    assert cost(used(input_tokens=10, output_tokens=0, parts=(compaction,))).amount == D("0.000006")


def test_an_answer_may_consist_of_parts_alone():
    own = UsagePart(kind="message", model=None, usage=used(input_tokens=10, output_tokens=0))

    priced = cost(used(parts=(own, own)))

    assert priced.amount == D("0.000006")
    assert not priced.estimated


def test_a_part_without_a_price_makes_the_cost_unknown():
    priced = cost(used(input_tokens=10, output_tokens=1, parts=(ADVISOR,)), find_part=lambda model: None)

    assert priced.amount is None
    assert priced.reasons == ("no_price:opus",)


def test_two_currencies_are_never_added():
    yuan = price(currency="CNY", name="opus")

    priced = cost(used(input_tokens=10, output_tokens=1, parts=(ADVISOR,)), find_part=lambda model: yuan)

    assert priced.amount is None
    assert priced.reasons == ("mixed_currencies",)


def test_flags_of_a_part_are_flags_of_the_whole():
    part = UsagePart(kind="fallback_message", model=None, usage=used(total_tokens=5))

    priced = cost(used(input_tokens=10, output_tokens=1, parts=(part,)))

    assert priced.lower_bound
    assert priced.reasons == ("total_only",)
