"""The record of a call tells what happened: outcome and blame in each way that a call can end."""

import asyncio

import pytest

from proxy.call import Call, attempt_record
from proxy.core.errors import ErrorSeen
from proxy.core.facts import RequestFacts, ResponseFacts
from proxy.downstream.known_heads import KnownHead
from proxy.outbox import Outbox
from proxy.place import Place, Places
from proxy.providers import find_provider
from proxy.upstream.errors import UpstreamError
from proxy.upstream.framing import parse_head
from proxy.upstream.provider import Upstream
from tests.fakes.settings import provider

LOOP = asyncio.new_event_loop()
MINIMAX = Upstream(
    provider("minimax", "https://api.minimax.io", "minimax"), find_provider("minimax"), LOOP, Outbox(LOOP)
)


class Message:
    method = "POST"
    path = "/minimax/v1/chat/completions"
    version = (1, 1)
    should_close = upgrade = False
    raw_headers = ((b"Host", b"x"),)


class Request:
    head = KnownHead(Message())


class Exchange:
    """What an attempt's row is made from."""

    def __init__(self, status: int) -> None:
        raw = b"HTTP/1.1 %d X\r\nContent-Length: 3\r\nminimax-request-id: r1\r\n\r\n" % status
        names = (b"minimax-request-id",)
        self.head = parse_head(raw, method="POST", request_id_names=names) if status else None
        self.first_byte_ns = self.first_content_ns = 0
        self.response_bytes = 3
        self.complete = self.in_tunnel = False
        self.broken_off = False


@pytest.fixture
def call() -> Call:
    place = Places({"minimax": MINIMAX}).find(Request.head)
    assert isinstance(place, Place)
    made = Call(Request(), "c1", place)
    made.learn(RequestFacts(model="MiniMax-M3", streaming=True))
    return made


def attempt(call: Call, status: int, facts: ResponseFacts, error: UpstreamError | None = None):
    return attempt_record(
        call,
        Exchange(status) if status else None,
        facts,
        error,
        span_id="s",
        started_at_ns=1,
        started_ns=0,
        connect_ns=None,
        changes=(),
        request_bytes=2,
    )


BROKEN = UpstreamError("reset", phase="answer")
SEEN = ErrorSeen(status=200, code="1008", message="insufficient balance")


@pytest.mark.parametrize(
    ("status", "facts", "error", "outcome", "error_class"),
    [
        (200, ResponseFacts(), None, "ok", None),
        (200, ResponseFacts(error=SEEN), None, "error", "billing"),
        (200, ResponseFacts(error=SEEN), BROKEN, "error", "billing"),
        (200, ResponseFacts(), BROKEN, "broken", "stream_truncated"),
        (200, ResponseFacts(stream_end="truncated"), None, "broken", "stream_truncated"),
        (200, ResponseFacts(unread="not_json"), None, "error", "bad_upstream_body"),
        (200, ResponseFacts(), UpstreamError("silent", phase="idle", timed_out=True), "broken", "timeout"),
        (503, ResponseFacts(), None, "error", "overloaded"),
        (0, ResponseFacts(), UpstreamError("no", phase="connect"), "error", "connect_error"),
        (0, ResponseFacts(), UpstreamError("no", phase="connect", timed_out=True), "error", "connect_error"),
        (0, ResponseFacts(), UpstreamError("no", phase="first_byte", timed_out=True), "error", "timeout"),
    ],
)
def test_an_attempt_says_how_it_ended_and_why(call: Call, status, facts, error, outcome, error_class):
    record = attempt(call, status, facts, error)

    assert record.outcome == outcome
    assert (record.error.error_class if record.error else None) == error_class


def test_an_app_that_left_is_the_reason_where_the_provider_gave_none(call: Call):
    call.client_gone = True
    record = attempt(call, 200, ResponseFacts())

    assert (record.outcome, record.error.error_class) == ("cancelled", "cancelled_by_client")


def test_the_record_of_a_call_is_that_of_its_last_attempt_with_all_of_them_in_it(call: Call):
    call.attempts = [attempt(call, 503, ResponseFacts()), attempt(call, 200, ResponseFacts(model="MiniMax-M3"))]
    call.status = 200
    record = call.closed()

    assert (record.outcome, record.status, record.error_class) == ("ok", 200, None)
    assert [a.status for a in record.attempts] == [503, 200]
    assert record.attempts[0].provider_request_id == "r1"
    assert (record.model_requested, record.operation, record.dialect) == ("MiniMax-M3", "chat", "openai.chat")


def test_a_refused_call_has_no_attempt_and_says_so(call: Call):
    call.refused = "body_too_large"
    call.status = 413
    record = call.closed()

    assert (record.outcome, record.status, record.attempts) == ("refused", 413, ())


def test_what_was_opened_and_what_was_closed_are_the_same_call(call: Call):
    opened, closed = call.opened(), call.closed()

    assert opened.call_id == closed.call_id == "c1"
    assert (opened.provider, opened.kind, opened.host) == ("minimax", "minimax", "api.minimax.io")
    assert opened.streaming


@pytest.mark.parametrize(
    ("phase", "by_the_provider", "in_doubt"),
    [("first_byte", True, True), ("first_byte", False, False), ("connect", False, False), ("head", True, False)],
)
def test_a_provider_that_had_the_request_and_broke_off_leaves_its_bill_in_doubt(call, phase, by_the_provider, in_doubt):
    exchange = Exchange(0)
    exchange.broken_off = by_the_provider
    row = attempt_record(
        call, exchange, ResponseFacts(), UpstreamError("reset", phase=phase), span_id="s", started_at_ns=1,
        started_ns=0, connect_ns=None, changes=(), request_bytes=2,
    )  # fmt: skip
    assert row.in_doubt is in_doubt
