"""Price files -> the price book. The only reader of price files.

The files that come with the product are the lowest layer of the book; every file of the operator's is a layer above it.
Every mistake of every file is reported at once, entries that no rule can choose between included.
"""

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from proxy.config.problems import ConfigError, KeyPath, Place, Report
from proxy.config.source import read_yaml
from proxy.core.price import Price
from proxy.prices.book import PriceBook
from proxy.prices.match import intersect, rank
from proxy.prices.schema import read_prices

MAX_FILE_BYTES = 4 * 1024 * 1024
"""A larger file is no price list."""


class _Source(NamedTuple):
    """A price file that was read, with what is needed to point into it."""

    report: Report
    prices: tuple[Price, ...]
    paths: tuple[KeyPath, ...]


def load_book(extra: Sequence[str] = (), *, kinds: Iterable[str] | None = None) -> PriceBook:
    """The book of the product, overlaid by further files in the given order.

    Args:
        extra: Paths of the operator's files, or names of sets that come with the product but are off (`seed-page`).
        kinds: The provider kinds that exist, to catch misspelt ones; None when that is not to be checked.

    Raises:
        ConfigError: with every mistake of every file.
    """
    known = None if kinds is None else frozenset(kinds)
    built_in, optional = _built_in(known)
    layers = [built_in, *([optional[name] if name in optional else _read(Path(name), name, known)] for name in extra)]
    _report_conflicts(layers)
    problems = [problem for layer in layers for source in layer for problem in source.report.problems]
    if problems:
        raise ConfigError(problems)
    return PriceBook(tuple(price for source in layer for price in source.prices) for layer in layers)


def _built_in(kinds: frozenset[str] | None) -> tuple[list[_Source], dict[str, _Source]]:
    """The files that come with the product: those in use, and by name those that are off until asked for."""
    in_use: list[_Source] = []
    optional: dict[str, _Source] = {}
    folder = files("proxy.prices")
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            source, enabled = _parse(file.read_text("utf-8"), file.name, kinds)
            if enabled:
                in_use.append(source)
            else:
                optional[file.name.removesuffix(".yaml")] = source
    return in_use, optional


def _read(path: Path, name: str, kinds: frozenset[str] | None) -> _Source:
    report = Report(name)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) <= MAX_FILE_BYTES:
            return _parse(data.decode("utf-8-sig"), name, kinds)[0]
        report.add((), f"is larger than {MAX_FILE_BYTES} bytes; is it the right file?")
    except OSError as error:
        report.add((), f"cannot be read: {(error.strerror or 'it cannot be opened').lower()}")
    except UnicodeDecodeError:
        report.add((), "is not UTF-8 text")
    return _Source(report, (), ())


def _parse(text: str, name: str, kinds: frozenset[str] | None) -> tuple[_Source, bool]:
    """The entries of one file, and whether it is in use without being asked for."""
    report = Report(name)
    raw = read_yaml(text, report)
    if raw is None:
        return _Source(report, (), ()), True
    file = read_prices(raw, report, book=Path(name).stem, kinds=kinds)
    return _Source(report, file.prices, file.paths), file.enabled


def _report_conflicts(layers: Sequence[Sequence[_Source]]) -> None:
    """Report entries of one layer that no rule can choose between, and ids that stand twice anywhere."""
    entries = [
        (layer, source.report, path, price)
        for layer, sources in enumerate(layers)
        for source in sources
        for price, path in zip(source.prices, source.paths, strict=True)
    ]
    for index, (layer, report, path, price) in enumerate(entries):
        for other_layer, other_report, other_path, other in entries[:index]:
            shared = _undecided(price, other) if layer == other_layer else ""
            if not shared and price.id != other.id:
                continue
            line = other_report.places.get(other_path, Place(0, 0)).line
            there = f"line {line}" if other_report is report else f"{other_report.source}:{line}"
            if shared:
                report.add(path, f"overlaps with {there} for {shared}: give it another effective_from or narrow one")
            else:
                report.add(path, f"has the same id as {there}: give it a name of its own")


def _undecided(one: Price, other: Price) -> str:
    """A glob of `one` for which no rule chooses between the two; empty when there is none."""
    if one.currency != other.currency or one.effective_from_ns != other.effective_from_ns:
        return ""
    if not set(one.kinds) & set(other.kinds) or not _share_hosts(one, other):
        return ""
    for glob in one.match:
        for against in other.match:
            if rank(glob) == rank(against) and intersect(glob, against):
                return glob
    return ""


def _share_hosts(one: Price, other: Price) -> bool:
    if one.other_hosts and other.other_hosts:
        return True
    if not one.hosts or not other.hosts:
        return one.hosts == other.hosts
    return any(intersect(host, against) for host in one.hosts for against in other.hosts)
