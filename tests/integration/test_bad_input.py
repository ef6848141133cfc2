"""What bad input gets: the provider's own answer where it is the provider's business, a clear 4xx where it is ours.

Never a 500, never a crash, never a byte to a host that is not configured. All of it against one real worker process,
which must have nothing to complain of at the end (see `tests.fakes.worker_process`).
"""

import asyncio
import gzip
import json
from contextlib import asynccontextmanager

import pytest

from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import ASKS_STREAM, CHAT, FILES, OK, get, post
from tests.fakes.raw_upstream import answers, raw_upstream
from tests.fakes.until import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

PATIENCE_S = 20.0
CHUNKED = b"Transfer-Encoding: chunked"
LIMITS = {"first_byte_timeout_s": 2.0, "idle_timeout_s": 2.0}


@asynccontextmanager
async def someone_else():
    """A server that nobody configured: what a request may name, and must never reach."""
    async with raw_upstream(answers(OK)) as other:
        yield other
        assert other.connections == 0, "a request went to a host that is not configured"


async def converse(worker, *pieces):
    """Send pieces, each in a segment of its own, and give what comes until the worker closes."""
    return read_answer(await worker.exchange(*pieces))


# --- what an app may send -------------------------------------------------------------------------------------------

ODD_BODIES = {
    "empty": b"",
    "no json": b"hello",
    "truncated json": b'{"model":"m","messages":[{"role":"user","con',
    "nul bytes": b"\x00" * 64,
    "nul in a string": b'{"model":"a\x00b"}',
    "invalid utf-8": b'{"model":"\xff\xfe"}',
    "a lone surrogate": b'{"model":"\\ud800"}',
    "an array": b"[]",
    "a string": b'"x"',
    "wrong types": b'{"model":{},"stream":"yes","max_tokens":"many","n":[]}',
    "figures without end": b'{"max_tokens":' + b"9" * 20_000 + b',"n":1e99999}',
    "brackets without end": b'{"messages":' + b"[" * 200_000,
    "objects in objects": b'{"stream":true,"stream_options":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "the same key twice": b'{"stream":true,"stream":false,"model":"a","model":"b"}',
    "a byte order mark": b'\xef\xbb\xbf{"model":"m"}',
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
async def test_a_body_that_nobody_can_read_is_the_provider_s_business(worker, upstream_that, body):
    async with upstream_that(answers(OK)) as upstream:
        answer = await converse(worker, post(CHAT, body))

        assert (answer.status, answer.payload) == (200, b"{}")
        assert upstream.requests[0].endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd", b"deflate", b"foo", b"gzip, " * 500 + b"gzip", b"\xff"])
async def test_a_body_whose_coding_is_a_lie_is_the_provider_s_business(worker, upstream_that, coding):
    async with upstream_that(answers(OK)) as upstream:
        answer = await converse(worker, post(CHAT, b"hello", b"Content-Encoding: " + coding))

        assert answer.status == 200
        assert b"\r\nContent-Encoding: " + coding.strip() in upstream.requests[0]
        assert upstream.requests[0].endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"/p/../../etc/passwd", b"/../../etc/passwd"),
        (b"/p/%2e%2e/x", b"/%2e%2e/x"),
        (b"/p//v1//models", b"//v1//models"),
        (b"/p/a%2fb%2F", b"/a%2fb%2F"),
        (b"/p/%00", b"/%00"),
        (b"/p/x%0d%0aHost:%20evil", b"/x%0d%0aHost:%20evil"),
        (b"/p/%ff%fe", b"/%ff%fe"),
        (b"/p/%zz%", b"/%zz%"),
        (b"/p?", b"/?"),
        (b"/p/x?a=/../&b=http://{else}/", b"/x?a=/../&b=http://{else}/"),
        (b"/p/@{else}/", b"/@{else}/"),
        (b"/p//{else}/x", b"//{else}/x"),
        (b"/p/http://{else}/x", b"/http://{else}/x"),
        (b"/p/x;a=b|c^d`e", b"/x;a=b|c^d`e"),
        (b"/p/" + b"a" * 60_000, b"/" + b"a" * 60_000),
    ],
)
async def test_path_and_query_go_to_the_configured_host_as_they_are(worker, listening, upstream_that, target, sent):
    async with upstream_that(answers(OK)) as upstream, someone_else() as other:
        authority = b"127.0.0.1:%d" % other.port
        answer = await converse(worker, get(target.replace(b"{else}", authority)))

        assert answer.status == 200
        first = upstream.requests[0].split(b"\r\n")[:2]
        wanted = b"GET %b HTTP/1.1" % sent.replace(b"{else}", authority)
        assert first == [wanted, b"Host: 127.0.0.1:%d" % listening.getsockname()[1]]


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [
        (b"GET http://{else}/p/v1/models", 400, "bad_target"),
        (b"GET https://{else}/p/v1/models", 400, "bad_target"),
        (b"GET ftp://{else}/", 400, "bad_target"),
        (b"CONNECT {else}", 400, "bad_target"),
        (b"CONNECT /p/x", 400, "bad_target"),
        (b"OPTIONS *", 400, "bad_target"),
        (b"GET @{else}/p/x", 400, "malformed_request"),
        (b"GET \\\\{else}\\p", 400, "malformed_request"),
        (b"GET p/v1/models", 400, "malformed_request"),
        (b"GET /p@{else}/v1/models", 404, "unknown_provider"),
        (b"GET //{else}/p/v1/models", 404, "unknown_provider"),
        (b"GET /%70/v1/models", 404, "unknown_provider"),
        (b"GET /p%2fv1/models", 404, "unknown_provider"),
        (b"GET /../p/v1/models", 404, "unknown_provider"),
        (b"GET /P/v1/models", 404, "unknown_provider"),
        (b"GET /\x00/v1/models", 400, "malformed_request"),
        (b"GET /p/\x00", 400, "malformed_request"),
        (b"GET /p/\xff\xfe", 400, "malformed_request"),
        (b"GET /p/a b", 400, "malformed_request"),
        (b"GET /p/a\tb", 400, "malformed_request"),
        (b"GET /deep/../b/v1/models", 400, "bad_target"),
        (b"GET /deep/%2e%2E/b", 400, "bad_target"),
        (b"GET /deep/x/..%2f..%2fb", 400, "bad_target"),
        (b"GET /deep/..%5cb", 400, "bad_target"),
    ],
)
async def test_a_target_that_names_nothing_of_ours_is_refused(worker, upstream_that, request_line, status, code):
    async with upstream_that(answers(OK)) as upstream, someone_else() as other:
        line = request_line.replace(b"{else}", b"127.0.0.1:%d" % other.port)
        host = b"Host: 127.0.0.1:%d" % other.port
        answer = await converse(worker, b"%b HTTP/1.1\r\n%b\r\nConnection: close\r\n\r\n" % (line, host))

        assert (answer.status, answer.code, answer.complete) == (status, code, True)
        assert json.loads(answer.payload)["error"]["message"].startswith("Taximeter: ")
        assert upstream.connections == 0


def smuggled(*lines, body=b"0\r\n\r\n"):
    """A request with doubtful framing, and behind it another one that must not be taken for a request."""
    return get(FILES, *lines, method=b"POST", close=False) + body + get(b"/p/smuggled")


SMUGGLING = {
    "length and chunks": smuggled(b"Content-Length: 5", CHUNKED),
    "chunks and length": smuggled(CHUNKED, b"Content-Length: 5"),
    "two lengths": smuggled(b"Content-Length: 5", b"Content-Length: 0"),
    "the same length twice": smuggled(b"Content-Length: 5", b"Content-Length: 5"),
    "a list of lengths": smuggled(b"Content-Length: 5, 5"),
    "a length with a plus": smuggled(b"Content-Length: +5"),
    "a negative length": smuggled(b"Content-Length: -5"),
    "a length in hex": smuggled(b"Content-Length: 0x5"),
    "a length with an underscore": smuggled(b"Content-Length: 0_5"),
    "an empty length": smuggled(b"Content-Length: "),
    "a length beyond 64 bits": smuggled(b"Content-Length: 18446744073709551621"),
    "a space before the colon of a length": smuggled(b"Content-Length : 5"),
    "a space before the colon": smuggled(b"Transfer-Encoding : chunked"),
    "xchunked": smuggled(b"Transfer-Encoding: xchunked"),
    "identity": smuggled(b"Transfer-Encoding: identity"),
    "chunked and then identity": smuggled(b"Transfer-Encoding: chunked, identity"),
    "chunked and identity in two lines": smuggled(CHUNKED, b"Transfer-Encoding: identity"),
    "chunked twice": smuggled(CHUNKED, CHUNKED),
    "quoted": smuggled(b'Transfer-Encoding: "chunked"'),
    "with a parameter": smuggled(b"Transfer-Encoding: chunked;q=1"),
    "behind a vertical tab": smuggled(b"Transfer-Encoding: \x0bchunked"),
    "with a nul": smuggled(b"Transfer-Encoding: chunked\x00"),
    "folded": smuggled(b"Transfer-Encoding:\r\n chunked"),
    "folded into another field": smuggled(b"X-A: b\r\n Transfer-Encoding: chunked"),
    "behind a leading space": smuggled(b" Transfer-Encoding: chunked"),
    "behind a bare line feed": smuggled(b"X-A: b\nTransfer-Encoding: chunked"),
    "behind a bare carriage return": smuggled(b"X-A: b\rTransfer-Encoding: chunked"),
    "only line feeds": get(FILES, method=b"POST").replace(b"\r\n", b"\n") + get(b"/p/smuggled"),
    "a size beyond 64 bits": smuggled(CHUNKED, body=b"10000000000000000\r\n"),
    "a negative size": smuggled(CHUNKED, body=b"-1\r\na\r\n0\r\n\r\n"),
    "a size in 0x": smuggled(CHUNKED, body=b"0x1\r\na\r\n0\r\n\r\n"),
    "a size that ends in a line feed": smuggled(CHUNKED, body=b"1\na\r\n0\r\n\r\n"),
    "an extension with a line feed": smuggled(CHUNKED, body=b"1;a\nb\r\na\r\n0\r\n\r\n"),
    "a chunk that is longer than it says": smuggled(CHUNKED, body=b"1\r\nabc\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("request_bytes", SMUGGLING.values(), ids=SMUGGLING)
@pytest.mark.parametrize("known", [False, True], ids=["first", "after a good one"])
async def test_a_request_of_doubtful_length_is_a_400_and_nothing_is_taken_out_of_it(
    worker, upstream_that, request_bytes, known
):
    async with upstream_that(answers(OK)) as upstream:
        good = get(FILES, b"Content-Length: 5", method=b"POST", close=False) + b"0\r\n\r\n" if known else b""
        reader, writer = await worker.connect()
        data = b""
        async with asyncio.timeout(PATIENCE_S):
            if good:
                # Twice: what is known by its bytes goes another way than what is parsed.
                for _ in range(2):
                    writer.write(good)
                    await reader.readuntil(b"{}")
            writer.write(request_bytes)
            try:
                while piece := await reader.read(65536):
                    data += piece
            except ConnectionResetError:
                pass
        writer.close()
        answer = read_answer(data)

        assert (answer.status, answer.code, answer.rest) == (400, "malformed_request", b"")
        assert not any(b"smuggled" in request.split(b"\r\n")[0] for request in upstream.requests)
        assert len(upstream.requests) == (2 if known else 0)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /p HTTP/1.1\r\n\r\n", 400),
        (b"GET /p HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /p HTTP/3.0\r\nHost: a\r\n\r\n", 400),
        (b"get /p HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (get(b"/p", b"X\x00: y"), 400),
        (get(b"/p", b"X: a\x00b"), 400),
        (get(b"/p", b"X\xff: y"), 400),
        (get(b"/p", b"X: y", b" folded"), 400),
        (get(b"/p", *[b"X-%d: y" % number for number in range(1000)]), 400),
        (get(b"/p/" + b"a" * 10_000_000), 431),
        (get(b"/p", b"X: " + b"y" * 10_000_000), 431),
        (get(b"/p", b"X" * 10_000_000 + b": y"), 431),
        (get(b"/p", *[b"X-%d: " % number + b"y" * 60_000 for number in range(170)]), 200),
    ],
    ids=[
        "no http", "tls", "http/2", "no host", "two hosts", "http/3", "a method in lower case", "a nul in a name",
        "a nul in a value", "a name that is no ascii", "a folded line", "1000 headers", "a target of 10 MB",
        "a header of 10 MB", "a name of 10 MB", "10 MB in many headers",
    ],
)  # fmt: skip
async def test_what_is_no_request_gets_a_clear_4xx(worker, upstream_that, request_bytes, status):
    async with upstream_that(answers(OK)) as upstream:
        before = worker.rss_bytes
        answer = await converse(worker, request_bytes)

        assert answer.status == status
        assert answer.call_id
        assert len(upstream.requests) == (status == 200)
        assert worker.rss_bytes - before < 30_000_000


async def test_bytes_that_are_no_text_pass_in_headers_and_are_no_harm_in_ours(worker, upstream_that):
    odd = b"\xff\xc3\x28\x80"
    ours = (b"x-taximeter-team: %b", b"x-taximeter-tags: %b=%b,=,a", b"x-taximeter-session: %b", b"baggage: %b=%b")
    lines = [line.replace(b"%b", odd) for line in ours]
    async with upstream_that(answers(OK)) as upstream:
        answer = await converse(worker, get(b"/p/x", b"X-Odd: " + odd, b"Authorization: Bearer " + odd, *lines))

        assert answer.status == 200
        assert b"X-Odd: " + odd in upstream.requests[0]
        assert (await worker.ended(answer.call_id)).outcome == "ok"


@pytest.mark.parametrize("path", [CHAT, FILES])
async def test_a_body_that_is_shorter_than_it_says_never_becomes_a_request(worker, upstream_that, path):
    async with upstream_that(answers(OK)) as upstream:
        reader, writer = await worker.connect()
        session = b"x-taximeter-session: short-%b" % path
        writer.write(post(path, b'{"model":"m"}', session)[:-3])
        writer.write_eof()
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b""
        writer.close()

        call = await worker.ended_of(session.decode().partition(": ")[2])
        # Where the body would have been passed on, the connection for it stays for the next call.
        await until(lambda: upstream.connections == (path == FILES))
        assert (call.outcome, call.status, call.client_gone) == ("cancelled", 0, True)
        assert upstream.requests == []


async def test_what_follows_a_body_is_the_next_request_or_a_400(worker, upstream_that):
    async with upstream_that(answers(OK)) as upstream:
        first = post(FILES, b"ab", close=False)
        answer = await converse(worker, first + get(b"/p/second"))
        surplus = await converse(worker, first + b"GARBAGE\r\n\r\n")

        assert (answer.status, read_answer(answer.rest).status) == (200, 200)
        # Garbage in the same piece takes what was not answered yet with it; what was sent is never a part of garbage.
        assert {surplus.status, read_answer(surplus.rest).status} <= {200, 400, 0}
        lines = [request.split(b"\r\n")[0] for request in upstream.requests]
        assert lines[:2] == [b"POST /v1/files HTTP/1.1", b"GET /second HTTP/1.1"]
        assert set(lines[2:]) <= {b"POST /v1/files HTTP/1.1"}
        assert all(request.endswith((b"\r\n\r\nab", b"\r\n\r\n")) for request in upstream.requests)


# --- what a provider may answer -------------------------------------------------------------------------------------

BODY = (
    b'{"id":"x","model":"m","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\n\r\n" % CHUNKED
EVENT = b'data: {"id":"x","model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
ASKS = b'{"model":"m"}'
ASKS_USAGE = b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(body, *lines):
    return HEAD + b"".join(b"%b\r\n" % line for line in lines) + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def plays(*pieces, ends="closes"):
    """Answer the first request with these pieces and then close, reset, or stay."""

    async def play(conversation):
        await conversation.request()
        await conversation.say(*pieces)
        if ends == "stays":
            await conversation.gone()
        elif ends == "resets":
            conversation.reset()

    return play


# What is no answer at all: the app is told so.
BROKEN_OFF = {
    "nothing": plays(),
    "a reset": plays(ends="resets"),
    "garbage": plays(b"\x00\xff" * 1000),
    "http/0.9": plays(b"hello world"),
    "half a head": plays(HEAD),
    "only line feeds": plays(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
}
MALFORMED = {
    "http/2": plays(b"HTTP/2 200\r\n\r\n"),
    "two lengths": plays(HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", ends="stays"),
    "a negative length": plays(HEAD + b"Content-Length: -5\r\n\r\nhello", ends="stays"),
    "a coding that nobody asked for": plays(
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk(gzip.compress(BODY)) + b"0\r\n\r\n", ends="stays"
    ),
    "a coding that nobody knows": plays(HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + BODY),
    "a folded line": plays(HEAD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok", ends="stays"),
    "a nul": plays(HEAD + b"X: a\x00\r\nContent-Length: 2\r\n\r\nok", ends="stays"),
    "a bare carriage return": plays(HEAD + b"X: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok", ends="stays"),
    "a space in a name": plays(HEAD + b"X : a\r\nContent-Length: 2\r\n\r\nok", ends="stays"),
    "a status of four digits": plays(b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", ends="stays"),
    "a status below 100": plays(b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok", ends="stays"),
    "a switch that nobody asked for": plays(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nok", ends="stays"
    ),
    "a header without end": plays(HEAD + b"X: ", *[b"x" * 100_000] * 20, ends="stays"),
    "headers without end": plays(HEAD, *[b"X: " + b"x" * 1000 + b"\r\n"] * 2000, ends="stays"),
    "a status line without end": plays(b"HTTP/1.1 200 ", *[b"x" * 100_000] * 20, ends="stays"),
    "interim answers without end": plays(*[b"HTTP/1.1 103 Early\r\nX: " + b"x" * 1000 + b"\r\n\r\n"] * 2000),
}


@pytest.mark.parametrize(
    ("play", "code"),
    [
        *(pytest.param(play, "upstream_unreachable", id=name) for name, play in BROKEN_OFF.items()),
        *(pytest.param(play, "upstream_malformed", id=name) for name, play in MALFORMED.items()),
    ],
)
async def test_what_is_no_answer_is_a_502_that_says_so(worker, upstream_that, play, code):
    async with upstream_that(play):
        before = worker.rss_bytes
        answer = await converse(worker, post(CHAT, ASKS))

        assert (answer.status, answer.code, answer.complete) == (502, code, True)
        assert json.loads(answer.payload)["error"]["message"].startswith("Taximeter: provider p: ")
        call = await worker.ended(answer.call_id)
        assert (call.outcome, call.status) == ("error", 502)
        assert call.attempts[0].error.fault == "provider"
        assert worker.rss_bytes - before < 10_000_000


# What breaks off: the app gets what came, and then no proper end.
BROKEN = {
    "a length that is a lie": (ASKS, plays(HEAD + b"Content-Length: 500\r\n\r\n" + BODY), BODY),
    "the same with a reset": (ASKS, plays(HEAD + b"Content-Length: 500\r\n\r\n" + BODY, ends="resets"), BODY),
    "silence": (ASKS, plays(HEAD + b"Content-Length: 500\r\n\r\n" + BODY, ends="stays"), BODY),
    "no last chunk": (ASKS, plays(HEAD + CHUNKED + b"\r\n\r\n" + chunk(BODY)), BODY),
    "a chunk that is cut off": (ASKS, plays(HEAD + CHUNKED + b"\r\n\r\n500\r\n" + BODY), BODY),
    "a size that is none": (ASKS, plays(HEAD + CHUNKED + b"\r\n\r\n" + chunk(BODY) + b"zz\r\n", ends="stays"), BODY),
    "a chunk that does not end": (ASKS, plays(HEAD + CHUNKED + b"\r\n\r\n5\r\nhelloXX", ends="stays"), b"hello"),
    "a size without end": (ASKS, plays(HEAD + CHUNKED + b"\r\n\r\n5;" + b"x" * 100_000, ends="stays"), b""),
    "a trailer without end": (
        ASKS,
        plays(HEAD + CHUNKED + b"\r\n\r\n" + chunk(BODY) + b"0\r\n", *[b"X: " + b"x" * 50_000 + b"\r\n"] * 9),
        BODY,
    ),
    "a stream without its end": (ASKS_STREAM, plays(STREAM + chunk(EVENT)), EVENT),
    "a stream with a bad size": (ASKS_STREAM, plays(STREAM + chunk(EVENT) + b"-1\r\n", ends="stays"), EVENT),
    "a stream that falls silent": (ASKS_USAGE, plays(STREAM + chunk(EVENT), ends="stays"), EVENT),
    "a stream with a reset": (ASKS_USAGE, plays(STREAM + chunk(EVENT), ends="resets"), EVENT),
}


@pytest.mark.parametrize(("asked", "play", "came"), BROKEN.values(), ids=BROKEN)
async def test_what_breaks_off_breaks_off_for_the_app_too(worker, upstream_that, asked, play, came):
    async with upstream_that(play):
        answer = await converse(worker, post(CHAT, asked))

        assert (answer.status, answer.payload, answer.complete) == (200, came, False)
        call = await worker.ended(answer.call_id)
        assert (call.outcome, call.attempts[0].error.fault) == ("broken", "provider")


def figures(**usage):
    return whole(BODY.replace(b'"prompt_tokens":3', b'"prompt_tokens":' + usage["prompt_tokens"]))


# What is an answer, but not one that can be read: it passes whole, and the metering says why it gave up.
UNREAD = {
    "no json": (ASKS, whole(b"hello"), "not_json"),
    "half a json": (ASKS, whole(BODY[:60]), "not_json"),
    "nothing": (ASKS, whole(b""), "empty"),
    "nul bytes": (ASKS, whole(bytes(100)), "not_json"),
    "brackets without end": (ASKS, whole(b'{"choices":' + b"[" * 200_000), "not_json"),
    "no gzip": (ASKS, whole(b"hello", b"Content-Encoding: gzip"), "bad_coding"),
    "half a gzip": (ASKS, whole(gzip.compress(BODY)[:-20], b"Content-Encoding: gzip"), "not_json"),
    "a coding that nobody knows": (ASKS, whole(BODY, b"Content-Encoding: foo"), "unknown_coding"),
    "a stream in a coding that nobody knows": (
        ASKS_STREAM,
        STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: foo\r\n\r\n") + chunk(EVENT) + b"0\r\n\r\n",
        "unknown_coding",
    ),
    "an event that is no json": (
        ASKS_STREAM,
        STREAM + chunk(EVENT) + chunk(b"data: {oops\n\n") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n",
        "bad_event",
    ),
}


@pytest.mark.parametrize(("asked", "said", "reason"), UNREAD.values(), ids=UNREAD)
async def test_what_cannot_be_read_passes_and_is_counted_by_its_reason(worker, upstream_that, asked, said, reason):
    async with upstream_that(plays(said, ends="stays")):
        answer = await converse(worker, post(CHAT, asked))

        assert (answer.status, answer.complete) == (200, True)
        assert answer.payload == read_answer(said).payload
        assert (await worker.ended(answer.call_id)).attempts[0].unread == reason
        await worker.lost(reason)


ODD_FIGURES = {
    "digits without end": b"9" * 5000,
    "beyond 64 bits": b"18446744073709551617",
    "negative": b"-3",
    "infinite": b"1e99999",
    "a text": b'"3"',
    "a list": b"[3]",
}


@pytest.mark.parametrize("figure", ODD_FIGURES.values(), ids=ODD_FIGURES)
async def test_figures_that_cannot_be_are_not_reported_and_harm_nothing(worker, upstream_that, figure):
    said = figures(prompt_tokens=figure)
    async with upstream_that(plays(said, ends="stays")):
        answer = await converse(worker, post(CHAT, ASKS))

        assert answer.payload == read_answer(said).payload
        usage = (await worker.ended(answer.call_id)).attempts[0].usage
        assert usage.input_tokens in {None, 3}
        assert usage.output_tokens == 4


async def test_an_answer_that_says_too_much_is_cut_where_it_said_it_ends(worker, upstream_that):
    async with upstream_that(plays(whole(BODY) + whole(b"more"), ends="stays")):
        reader, writer = await worker.connect()
        async with asyncio.timeout(PATIENCE_S):
            writer.write(post(CHAT, ASKS, close=False))
            first = await reader.readuntil(BODY)
            writer.write(post(CHAT, ASKS))
            second = await reader.read()
        writer.close()

        assert read_answer(first).complete
        assert (read_answer(second).status, read_answer(second).payload) == (200, BODY)


# --- slowness -------------------------------------------------------------------------------------------------------


async def test_byte_by_byte_in_every_direction_changes_nothing(worker, upstream_that):
    said = STREAM + chunk(EVENT) * 3 + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

    async def play(conversation):
        await conversation.request()
        await conversation.say(*[said[at : at + 1] for at in range(len(said))])
        await conversation.gone()

    asked = post(CHAT, ASKS_USAGE)
    async with upstream_that(play) as upstream:
        reader, writer = await worker.connect()
        async with asyncio.timeout(PATIENCE_S):
            for at in range(len(asked)):
                writer.write(asked[at : at + 1])
                await writer.drain()
            data = b""
            while byte := await reader.read(1):
                data += byte
        writer.close()

        assert read_answer(data).payload == read_answer(said).payload
        assert upstream.requests[0].endswith(ASKS_USAGE)
        assert (await worker.ended(read_answer(data).call_id)).outcome == "ok"
