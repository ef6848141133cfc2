"""A connection pushes an answer to its sink, frames it strictly, and is kept only when nothing is in doubt."""

import asyncio

import pytest

from proxy.outbox import Outbox
from proxy.upstream.connection import Connection
from proxy.upstream.framing import FramingError, ResponseHead
from proxy.upstream.head_shapes import HeadReader


class Transport(asyncio.Transport):
    """What a connection asks of the loop's transport."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.events: list[str] = []

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return "abort" in self.events or "close" in self.events

    def close(self) -> None:
        self.events.append("close")

    def abort(self) -> None:
        self.events.append("abort")

    def pause_reading(self) -> None:
        self.events.append("pause")

    def resume_reading(self) -> None:
        self.events.append("resume")


class Script:
    """A sink that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def on_interim(self, head: ResponseHead) -> None:
        self.heard.append(("interim", head.status))

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        self.heard.append(("head", head.status))

    def on_data(self, raw: bytes, pieces: list[bytes] | None) -> None:
        self.heard.append(("data", raw if pieces is None else b"".join(pieces)))

    def on_end(self) -> None:
        self.heard.append("end")

    def on_broken(self, error: Exception) -> None:
        self.heard.append(("broken", type(error)))

    def on_writable(self) -> None:
        self.heard.append("writable")

    def data(self) -> bytes:
        return b"".join(entry[1] for entry in self.heard if isinstance(entry, tuple) and entry[0] == "data")


@pytest.fixture
async def connection() -> Connection:
    made = Connection(Outbox(asyncio.get_running_loop()), HeadReader())
    made.connection_made(Transport())
    return made


def transport(connection: Connection) -> Transport:
    found = connection._transport
    assert isinstance(found, Transport)
    return found


async def test_an_answer_of_known_length_is_pushed_and_the_connection_kept(connection: Connection):
    sink = Script()
    connection.begin(sink, "POST", b"request")

    connection._outbox.flush()
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
    connection.data_received(b"llo")

    connection._outbox.flush()
    assert transport(connection).written == [b"request"]
    assert sink.heard == [("head", 200), ("data", b"he"), ("data", b"llo"), "end"]
    assert connection.reusable
    assert connection.served == 1


async def test_the_same_is_heard_byte_by_byte(connection: Connection):
    sink = Script()
    connection.begin(sink, "POST", b"")

    for byte in b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
        connection.data_received(bytes([byte]))

    assert sink.heard[:2] == [("interim", 103), ("head", 200)]
    assert sink.heard[-1] == "end"
    assert sink.data() == b"abc"
    assert connection.reusable


@pytest.mark.parametrize(
    ("method", "answer", "kept"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", True),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", False),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", True),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
    ],
)
async def test_an_answer_without_a_body_ends_with_its_head(
    connection: Connection, method: str, answer: bytes, kept: bool
):
    sink = Script()
    connection.begin(sink, method, b"")

    connection.data_received(answer)

    assert sink.heard[-1] == "end"
    assert connection.reusable is kept


async def test_a_body_until_close_ends_with_the_connection(connection: Connection):
    sink = Script()
    connection.begin(sink, "GET", b"")

    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nabc")
    connection.eof_received()
    connection.connection_lost(None)

    assert sink.heard == [("head", 200), ("data", b"abc"), "end"]


async def test_a_body_until_close_is_broken_where_the_end_was_not_said(connection: Connection):
    # What uvloop makes of TLS that ends without its closing alert: anybody on the way can do that.
    sink = Script()
    connection.begin(sink, "GET", b"")

    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nabc")
    connection.connection_lost(None)

    assert sink.heard == [("head", 200), ("data", b"abc"), ("broken", ConnectionResetError)]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nConte",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
async def test_a_close_before_the_end_is_a_break(connection: Connection, answer: bytes):
    sink = Script()
    connection.begin(sink, "GET", b"")

    if answer:
        connection.data_received(answer)
    connection.connection_lost(None)

    assert sink.heard[-1] == ("broken", ConnectionResetError)


async def test_bad_chunking_gives_what_came_and_then_breaks(connection: Connection):
    sink = Script()
    connection.begin(sink, "GET", b"")

    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")

    assert sink.data() == b"abc"
    assert sink.heard[-1] == ("broken", FramingError)
    assert transport(connection).events == ["abort"]


async def test_surplus_bytes_end_the_answer_but_also_the_connection(connection: Connection):
    sink = Script()
    connection.begin(sink, "GET", b"")

    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n")

    assert sink.heard == [("head", 200), ("data", b"abc"), "end"]
    assert not connection.reusable


async def test_bytes_that_nobody_asked_for_close_an_idle_connection(connection: Connection):
    connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")

    assert not connection.reusable
    assert transport(connection).events == ["abort"]


async def test_after_abort_the_sink_hears_nothing(connection: Connection):
    sink = Script()
    connection.begin(sink, "GET", b"")

    connection.abort()
    connection.connection_lost(None)

    assert sink.heard == []


async def test_a_connection_that_is_finished_sends_what_was_written_and_is_not_aborted_when_it_is_given_back(
    connection: Connection,
):
    sink, kept = Script(), transport(connection)
    connection.begin(sink, "GET", b"the last word")

    connection.finish()
    connection.abort()
    connection.connection_lost(None)

    assert (kept.written, kept.events) == ([b"the last word"], ["close"])
    assert not connection.reusable
    assert sink.heard == []


async def test_reading_is_paused_once_and_resumed_for_the_next_call(connection: Connection):
    sink = Script()
    connection.begin(sink, "GET", b"")

    connection.pause_reading()
    connection.pause_reading()
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    assert transport(connection).events == ["pause", "resume"]


async def test_the_sink_hears_when_the_provider_takes_bytes_again(connection: Connection):
    sink = Script()
    connection.begin(sink, "POST", b"")

    connection.pause_writing()
    assert connection.write_paused
    connection.resume_writing()

    assert sink.heard == ["writable"]
    assert not connection.write_paused


async def test_a_connection_that_still_has_a_request_to_send_carries_no_other(connection: Connection):
    sink = Script()
    connection.begin(sink, "POST", b"much")

    connection.pause_writing()
    connection.data_received(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    assert sink.heard[-1] == "end"
    assert not connection.reusable


async def test_a_connection_that_the_provider_has_ended_carries_no_other_call(connection: Connection):
    # The loop tells of the loss only later; what is written until then goes nowhere.
    connection.eof_received()

    assert not connection.reusable
