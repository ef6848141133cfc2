"""Books that could not be opened are opened later, and nobody who asks before is left without an answer."""

import pytest

from policies.ledger.books import BooksUnavailableError, Glance, Page, TopUp
from policies.ledger.late_books import LateBooks
from policies.ledger.sqlite_books import SqliteBooks


def test_they_are_opened_at_the_first_question_after_the_trouble_is_over(tmp_path):
    path = tmp_path / "folder" / "ledger.sqlite"
    path.mkdir(parents=True)
    books = LateBooks(lambda: SqliteBooks(path))
    with pytest.raises(BooksUnavailableError):
        books.glance("w", -1)
    path.rmdir()

    assert books.glance("w", -1) == Glance(0, (), frozenset())
    books.close()


def test_books_that_were_never_asked_are_never_opened(tmp_path):
    LateBooks(lambda: pytest.fail("opened")).close()


def test_every_question_reaches_the_books(tmp_path):
    books = LateBooks(lambda: SqliteBooks(tmp_path / "ledger.sqlite"))

    assert books.borrow("w", (), 1).granted
    books.give_back("w", {}, 1)
    books.cover("w", {"b": 1}, 1)
    books.give_back("w", {"b": 1}, 1)
    books.leave("w", ["b"])
    assert books.post([Page("w", 1, ())], 1) == 1
    books.forget("w")
    assert books.rebuild({"b": 3}, {"b": "USD"}, {"w": 1}, 1) == ()
    assert [one.spent for one in books.recorded()] == [3]
    assert [one.posted_up_to for one in books.lenders()] == [1]
    books.top_up(TopUp(family="b", amount=1, reason="r", by="me", at_ns=1))
    assert len(books.top_ups()) == 1
    books.close()
