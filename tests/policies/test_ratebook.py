"""The rate of a model is the first that names it and is in effect."""

from policies.compiled import ModelRate
from policies.ratebook import RateBook


def rate(number, provider="openai", models=("gpt-*",), **more):
    return ModelRate(id=number, provider=provider, models=models, currency="USD", **more)


def found(rates, provider="openai", model="GPT-5", operation="chat", now_ns=100):
    got = RateBook(rates).find(provider, model, operation, now_ns)
    return got and got.id


def test_the_first_rate_that_names_the_model_wins():
    assert found([rate("a", models=("o3",)), rate("b"), rate("c")]) == "b"


def test_a_rate_is_for_one_provider():
    assert found([rate("a", provider="azure")]) is None


def test_a_rate_holds_from_its_beginning_until_its_end():
    rates = [rate("new", from_ns=100), rate("old", until_ns=100)]

    assert [found(rates, now_ns=at) for at in (99, 100)] == ["old", "new"]


def test_a_call_without_a_model_is_priced_by_its_operation():
    assert found([rate("a", models=("operation:speech",))], model=None, operation="speech") == "a"


def test_a_model_name_beyond_all_measure_has_no_rate():
    assert found([rate("a", models=("*",))], model="x" * 300) is None


def test_it_says_how_long_the_rates_in_effect_stay():
    book = RateBook(
        [
            ModelRate(id="a", provider="p", models=("m",), currency="USD", until_ns=10),
            ModelRate(id="b", provider="p", models=("m",), currency="USD", from_ns=10, until_ns=30),
        ]
    )
    spans = [book.span(at_ns) for at_ns in (10, 29)]

    assert spans == [(10, 30), (10, 30)]
    assert book.span(9)[1] == 10
    assert book.span(30)[0] == 30
