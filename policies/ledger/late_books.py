"""Books that are opened when they are first asked, and again when that failed.

A ledger that cannot be opened must not keep a proxy from starting: what then becomes of calls is the word of each
policy (`when_ledger_unavailable`).
"""

import threading
from collections.abc import Callable, Mapping, Sequence

from policies.ledger.books import Books, Borrowed, Glance, Lender, Page, Recorded, TopUp, Want


class LateBooks:
    """See Books, each method of which raises BooksUnavailableError while the books cannot be opened.

    Args:
        open_books: Opens them; raises BooksUnavailableError.
    """

    def __init__(self, open_books: Callable[[], Books]) -> None:
        self._open = open_books
        self._lock = threading.Lock()
        self._books: Books | None = None

    @property
    def _opened(self) -> Books:
        with self._lock:
            if self._books is None:
                self._books = self._open()
            return self._books

    def borrow(self, instance: str, wants: Sequence[Want], now_ns: int) -> Borrowed:
        """See Books."""
        return self._opened.borrow(instance, wants, now_ns)

    def cover(self, instance: str, amounts: Mapping[str, int], now_ns: int) -> None:
        """See Books."""
        self._opened.cover(instance, amounts, now_ns)

    def give_back(self, instance: str, amounts: Mapping[str, int], now_ns: int) -> None:
        """See Books."""
        self._opened.give_back(instance, amounts, now_ns)

    def leave(self, instance: str, counters: Sequence[str]) -> None:
        """See Books."""
        self._opened.leave(instance, counters)

    def glance(self, instance: str, since: int) -> Glance:
        """See Books."""
        return self._opened.glance(instance, since)

    def post(self, pages: Sequence[Page], now_ns: int) -> int:
        """See Books."""
        return self._opened.post(pages, now_ns)

    def forget(self, instance: str) -> None:
        """See Books."""
        self._opened.forget(instance)

    def recorded(self, family: str = "") -> tuple[Recorded, ...]:
        """See Books."""
        return self._opened.recorded(family)

    def lenders(self) -> tuple[Lender, ...]:
        """See Books."""
        return self._opened.lenders()

    def rebuild(
        self, spent: Mapping[str, int], units: Mapping[str, str], included: Mapping[str, int], now_ns: int
    ) -> tuple[str, ...]:
        """See Books."""
        return self._opened.rebuild(spent, units, included, now_ns)

    def top_up(self, top_up: TopUp) -> None:
        """See Books."""
        self._opened.top_up(top_up)

    def top_ups(self, family: str = "") -> tuple[TopUp, ...]:
        """See Books."""
        return self._opened.top_ups(family)

    def close(self) -> None:
        """Close them, if they were ever opened."""
        with self._lock:
            books, self._books = self._books, None
        if books is not None:
            books.close()
