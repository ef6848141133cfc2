"""How a result is sent, with a query played by a list of pieces and a real connection."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import ClientPayloadError, web
from aiohttp.test_utils import TestClient, TestServer

from exporters.store import answering
from exporters.store.answering import Manner, failure, send, whole
from exporters.store.engine import Figures, Result
from exporters.store.errors import READONLY, StoreError
from tests.fakes.until import turn

ERROR = StoreError((395, "FUNCTION_THROW"), "no")
FIGURES = Figures(read_rows=3, elapsed_ns=7)


class Query:
    def __init__(self, *pieces, error=None):
        self.pieces, self.error = list(pieces), error

    async def read(self):
        await turn()
        return self.pieces.pop(0) if self.pieces else b""

    async def finish(self):
        if self.error is not None:
            raise self.error
        return Result(b"", FIGURES)


@pytest.fixture
def manner(tmp_path):
    with ThreadPoolExecutor(1) as threads:
        yield Manner(
            query_id="q",
            version="1",
            coding=None,
            coding_level=3,
            waits_for_end=False,
            held_bytes=10,
            scratch_dir=tmp_path,
            threads=threads,
        )


async def get(query, manner):
    """Status, headers, what came of the body, and whether it came whole."""

    async def answer(request):
        try:
            return await send(request, query, "TSV", manner)
        except StoreError as error:
            return failure(error, "q", "1")

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestClient(TestServer(app)) as client:
        response = await client.get("/")
        body = b""
        try:
            async for piece in response.content.iter_any():
                body += piece
        except ClientPayloadError:
            return response.status, response.headers, body, False
        return response.status, response.headers, body, True


async def test_a_short_result_comes_with_its_length_and_its_figures(manner):
    status, headers, body, _ = await get(Query(b"1\n", b"2\n"), manner)

    assert (status, body, headers["Content-Length"]) == (200, b"1\n2\n", "4")
    assert json.loads(headers["X-ClickHouse-Summary"])["read_rows"] == "3"


async def test_a_short_result_that_fails_is_not_sent(manner):
    status, headers, body, _ = await get(Query(b"1\n", error=ERROR), manner)

    assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "395")
    assert body.startswith(b"Code: 395.")


async def test_a_long_result_comes_in_chunks(manner):
    status, headers, body, is_whole = await get(Query(*[b"x" * 8] * 100), manner)

    assert (status, body, is_whole) == (200, b"x" * 800, True)
    assert "Content-Length" not in headers


async def test_a_long_result_that_fails_ends_with_the_tagged_error_and_without_an_end(manner):
    _, headers, body, is_whole = await get(Query(*[b"x" * 8] * 100, error=ERROR), manner)
    tag = headers["X-ClickHouse-Exception-Tag"].encode()

    assert not is_whole
    assert body.startswith(b"x" * 800 + b"\r\n__exception__\r\n" + tag + b"\r\nCode: 395.")


@pytest.mark.parametrize("size", [10, 100_000, 9_000_000])
async def test_a_result_that_is_waited_for_is_sent_whole_or_not_at_all(manner, size):
    patient = dataclasses.replace(manner, waits_for_end=True)
    pieces = [b"x" * (size // 10)] * 10
    status, headers, body, _ = await get(Query(*pieces), patient)
    assert (status, len(body), headers["Content-Length"]) == (200, size, str(size))
    assert "X-ClickHouse-Summary" in headers

    assert (await get(Query(*pieces, error=ERROR), patient))[0] == 500


async def test_a_result_that_would_fill_the_disk_is_refused(manner, monkeypatch):
    monkeypatch.setattr(answering, "_MOST_SPOOL_BYTES", 1000)
    patient = dataclasses.replace(manner, waits_for_end=True)

    assert (await get(Query(*[b"x" * 100] * 10), patient))[0] == 200
    assert (await get(Query(*[b"x" * 100] * 11), patient))[1]["X-ClickHouse-Exception-Code"] == "396"


def test_a_statement_without_a_result_names_no_format(manner):
    answer = whole(manner, None, Result(b"", FIGURES))

    assert "X-ClickHouse-Format" not in answer.headers
    assert answer.headers["X-ClickHouse-Query-Id"] == "q"


def test_a_failure_says_what_it_is_in_header_and_body():
    answer = failure(StoreError(READONLY, "No"), "q", "9.9")

    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (500, "164")
    assert answer.body == b"Code: 164. DB::Exception: No (READONLY) (version 9.9)\n"
