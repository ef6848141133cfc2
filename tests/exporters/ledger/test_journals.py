"""Sealed segments of this machine, as pages."""

from decimal import Decimal

from exporters.journal.reader import add_segment
from exporters.ledger.journals import journal_pages
from policies.ledger.books import Page, Posting
from proxy.core.pricing import Priced
from proxy.core.record import Draw
from tests.fakes.records import call


class Flat:
    def price(self, attempt, call):
        return Priced(amount=Decimal("0.001"), currency="USD")


def test_each_sealed_segment_with_draws_is_a_page(tmp_path):
    draw = Draw(counter="budget:b", unit="USD", held=9)
    for name in ("w1", "w2"):
        (tmp_path / name).mkdir()
    add_segment(tmp_path, "w1", 1, [call(1, draws=(draw,)), call(2, draws=(draw,))])
    add_segment(tmp_path, "w1", 2, [call(3)])
    add_segment(tmp_path, "w2", 7, [call(4, draws=(draw,))])

    assert journal_pages(tmp_path, Flat()) == (
        Page("w1", 1, (Posting("budget:b", "USD", 2_000_000, 18),)),
        Page("w2", 7, (Posting("budget:b", "USD", 1_000_000, 9),)),
    )
    assert journal_pages(tmp_path / "none", Flat()) == ()
