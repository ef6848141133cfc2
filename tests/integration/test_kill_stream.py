"""Kill -9 of a worker while a WebSocket has its hold extended: it is booked at what it held last, and nothing is left."""

import os
import signal

import aiohttp
import pytest

from policies.ledger.sqlite_books import SqliteBooks
from tests.fakes.until import until
from tests.fakes.web_sockets import web_socket_server
from tests.fakes.whole import CONFIG, serving

POLICIES = """\
version: 1
budgets:
  all: {limit: 50 USD, window: total, unbounded: 0.50 USD, unbounded_bytes: 4096}
"""
LEAST_HELD_NANO = 1_500_000_000
"""Of 8,000 bytes with 4,096 for a step, of which 80 % may be used."""
PATIENCE_S = 60.0

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]


async def test_a_worker_that_dies_with_an_extended_hold_leaves_it_on_the_books(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "streams.yaml").write_text(POLICIES)
    books_file = tmp_path / "data" / "ledger.sqlite"
    async with web_socket_server() as server, aiohttp.ClientSession() as session:
        config = f"workers: 1\n{CONFIG}providers:\n  one: {{kind: openai, base_url: '{server.url}'}}\n"
        async with serving(tmp_path, config=config) as whole:
            client = await session.ws_connect(f"{whole.url}/one/v1/realtime")
            await client.send_bytes(b"x" * 4000)
            await client.receive()
            await until(
                lambda: any(b'"held":%d' % LEAST_HELD_NANO in one for one in journal(tmp_path)), limit_s=PATIENCE_S
            )
            os.kill(whole.pid("worker-0"), signal.SIGKILL)
            books = SqliteBooks(books_file)
            await until(lambda: any(level.spent for level in books.recorded()), limit_s=PATIENCE_S)
            await until(lambda: not any(level.leased for level in books.recorded()), limit_s=PATIENCE_S)
            (level,) = books.recorded()

    assert level.spent == LEAST_HELD_NANO


def journal(folder):
    return [path.read_bytes() for path in (folder / "data" / "journal").glob("worker-*/*") if path.is_file()]
