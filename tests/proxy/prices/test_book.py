from decimal import Decimal

import pytest

from proxy.prices.book import MAX_REMEMBERED, PriceBook
from tests.fakes.price_files import flat


def found(
    book: PriceBook, model: str = "m3", *, host: str = "api.minimax.io", at_ns: int = 100, **more
) -> Decimal | None:
    price = book.find("minimax", host, model, at_ns, **more)
    return None if price is None else price.card.rates.input


def book(*layers) -> PriceBook:
    return PriceBook(layers)


def test_models_are_found_by_any_case():
    assert found(book((flat("1", match=("minimax-m3",)),)), "MiniMax-M3") == 1


@pytest.mark.parametrize("model", ["minimax-m3.1-flash", "m3", "", "x" * 257])
def test_another_model_is_not_found(model):
    assert found(book((flat("1", match=("minimax-m3",)),)), model) is None


def test_another_kind_is_not_found():
    assert book((flat("1"),)).find("openai", "api.minimax.io", "m3", 100) is None


def test_the_newest_entry_that_was_in_effect_wins():
    history = book((flat("1"), flat("3", effective_from_ns=200), flat("2", effective_from_ns=100)))

    assert [found(history, at_ns=at_ns) for at_ns in (0, 99, 100, 199, 200, 10**18)] == [1, 1, 2, 2, 3, 3]


def test_an_entry_that_ended_leaves_the_one_before_it():
    ended = book((flat("1"), flat("2", effective_from_ns=100, effective_until_ns=200)))

    assert [found(ended, at_ns=at_ns) for at_ns in (99, 100, 199, 200)] == [1, 2, 2, 1]


def test_before_the_first_entry_there_is_no_price():
    assert found(book((flat("1", effective_from_ns=101),))) is None


def test_the_narrower_name_wins_even_over_a_newer_entry():
    layer = (flat("1", match=("m3",)), flat("2", match=("m*",), effective_from_ns=50), flat("3"))

    assert found(book(layer)) == 1
    assert found(book(layer), "m2") == 2
    assert found(book(layer), "x") == 3


def test_an_entry_that_names_the_host_wins():
    layer = (flat("1", match=("m3",)), flat("2", hosts=("*.minimax.io",)))

    assert found(book(layer), host="API.minimax.io") == 2
    assert found(book(layer), host="gateway.example") == 1


def test_the_upper_layer_wins_where_it_is_in_effect():
    layers = ((flat("1", match=("m3",), hosts=("api.minimax.io",)),), (flat("2", effective_from_ns=100),))

    assert found(book(*layers), at_ns=99) == 1
    assert found(book(*layers), at_ns=100) == 2


def test_a_host_that_nobody_names_is_served_by_entries_for_other_hosts():
    layer = (flat("1", hosts=("a.example",), other_hosts=True), flat("2", hosts=("b.example",)))

    assert found(book(layer), host="a.example") == 1
    assert found(book(layer), host="b.example") == 2
    assert found(book(layer), host="127.0.0.1") == 1


def test_entries_of_another_currency_do_not_exist():
    layer = (flat("1"), flat("2", currency="CNY", hosts=("api.minimaxi.com",), other_hosts=True))

    assert found(book(layer), currency="USD") == 1
    assert found(book(layer), currency="CNY") == 2
    assert found(book(layer), currency="EUR") is None
    assert found(book(layer), host="api.minimaxi.com") == 2


def test_what_is_remembered_is_bounded():
    everything = book((flat("1", match=("m3",)),))
    for index in range(MAX_REMEMBERED + 10):
        found(everything, f"made-up-{index}")

    assert len(everything._remembered) <= MAX_REMEMBERED
    assert found(everything) == 1
