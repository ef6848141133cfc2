"""The sink that books what calls have used.

What: for every call that draws on a budget, what it has used by its priced record is added to the counter, and what its
worker had set aside is taken off that worker's lease, in one step. A segment of a journal is booked once, by its
number. So a counter has spent exactly what the rows of the store say, whatever was killed in between.

Config: none of its own; it is there where policies are, and books into the ledger that they name.

Example: `LedgerSink(SqliteBooks(settings.ledger_path, durable=True))`

Source: design.md, "The ledger: why a cap holds"; `policies/ledger/books.py`, invariant 3.
"""

import time
from collections.abc import Mapping

from exporters.ledger.booked import booked
from exporters.recorder.ports import Batch, SinkUnavailableError
from policies.ledger.books import Books, BooksUnavailableError, Page, Posting


class LedgerSink:
    """Books batches; a ledger that cannot be reached is tried again by the recorder, and nothing is lost."""

    name = "ledger"

    def __init__(self, books: Books) -> None:
        self._books = books

    def check(self) -> None:
        """Nothing to prepare: where no policy is there may never be a ledger. It is opened with the first booking."""

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """Book a batch; gives how many calls drew on budgets. Raises SinkUnavailableError."""
        pages = pages_of(batch)
        if not pages:
            return {}
        try:
            new = self._books.post(pages, time.time_ns())
        except BooksUnavailableError as error:
            raise SinkUnavailableError(str(error)) from error
        drawing = sum(bool(priced.call.draws) for priced in batch.calls)
        return {"calls": drawing} if new else {"calls_again": drawing}

    def forget(self, instance: str) -> None:
        """A process is gone, and all of its journal is booked: its leases are free. Raises SinkUnavailableError."""
        try:
            self._books.forget(instance)
        except BooksUnavailableError as error:
            raise SinkUnavailableError(str(error)) from error

    def close(self) -> None:
        """Close the books."""
        self._books.close()


def pages_of(batch: Batch) -> tuple[Page, ...]:
    """What the calls of a batch have used: a page for each segment, in the order of their instances and numbers."""
    pages: dict[tuple[str, int], dict[str, Posting]] = {}
    for priced in batch.calls:
        if not priced.call.draws:
            continue
        sums = pages.setdefault((priced.instance, priced.segment), {})
        for counter, used in booked(priced).items():
            draws = [draw for draw in priced.call.draws if draw.counter == counter]
            set_aside = sum(draw.held if draw.set_aside is None else draw.set_aside for draw in draws)
            before = sums.get(counter) or Posting(counter=counter, unit=draws[0].unit, spent=0, set_aside=0)
            sums[counter] = Posting(
                counter=counter, unit=before.unit, spent=before.spent + used, set_aside=before.set_aside + set_aside
            )
    return tuple(
        Page(instance, segment, tuple(sums[counter] for counter in sorted(sums)))
        for (instance, segment), sums in sorted(pages.items())
    )
