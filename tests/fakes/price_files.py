"""Price files as text, and what the product reads from them or says about them."""

from collections.abc import Iterable
from decimal import Decimal

from proxy.config.problems import Report
from proxy.config.source import read_yaml
from proxy.core.price import Card, Price, Rates
from proxy.prices.schema import PriceFile, read_prices

HEAD = "version: 2026-11-23\nbook: list\nprices:\n"
"""Three lines that a file of entries may begin with; the first entry stands on line 4."""


def read(text: str, kinds: Iterable[str] | None = None) -> tuple[PriceFile, list[str]]:
    """The entries of a file named `prices.yaml`, and its problems as they are printed."""
    report = Report("prices.yaml")
    raw = read_yaml(text, report)
    assert raw is not None, report.problems
    return read_prices(raw, report, book="prices", kinds=kinds), [str(problem) for problem in report.problems]


def entry(text: str) -> Price:
    """The one entry of a file, in flow style."""
    file, problems = read(f"{HEAD}  - {text}\n")
    assert problems == []
    (price,) = file.prices
    return price


def problems_of(text: str) -> list[str]:
    """What is said about one entry in flow style, less the file's name."""
    return [problem.removeprefix("prices.yaml:4: ") for problem in read(f"{HEAD}  - {text}\n")[1]]


def flat(input_rate: str, output_rate: str = "1", **more) -> Price:
    """A made-up entry of kind `minimax` for every model and host."""
    card = Card(Rates(input=Decimal(input_rate), output=Decimal(output_rate)))
    more = {"id": "list/x", "origin": "book", "currency": "USD", "kinds": ("minimax",), "match": ("*",)} | more
    return Price(card=card, **more)
