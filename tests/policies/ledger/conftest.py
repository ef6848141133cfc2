"""Both kinds of books, for tests that hold for either."""

import uuid

import pytest

from policies.ledger.redis_books import RedisBooks
from policies.ledger.redis_link import RedisOptions
from policies.ledger.sqlite_books import SqliteBooks
from tests.fakes.redis_server import PROGRAM, WHY_NOT, running_redis


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """A real server for the session."""
    if PROGRAM is None:
        pytest.skip(WHY_NOT)
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.real)])
def open_books(request, tmp_path):
    """Opens the books of this test once more, as another process would; all are closed at the end."""
    name, opened = f"t{uuid.uuid4().hex}", []

    def open_books():
        if request.param == "sqlite":
            opened.append(SqliteBooks(tmp_path / "ledger.sqlite"))
        else:
            options = RedisOptions(url=request.getfixturevalue("redis_server").url, name=name)
            opened.append(RedisBooks(options))
        return opened[-1]

    yield open_books
    for books in opened:
        books.close()
