"""A head that is like one before it is read as the parser reads it, and anything else goes to the parser."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.framing import FramingError, parse_head
from proxy.upstream.head_shapes import HeadReader

NAMES = (b"request-id", b"x-request-id")

field_names = st.sampled_from(
    [
        "Content-Type",
        "Content-Encoding",
        "Content-Length",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "Date",
        "X-Request-Id",
        "Request-Id",
        "X-Named",
        "x-taximeter-call-id",
        "Set-Cookie",
    ]
)
values = st.sampled_from(
    [
        *("", " ", "3", "17", "017", " 5 ", "5, 5", "chunked", "gzip", "close", "keep-alive", "x-named"),
        *("text/event-stream", "application/json; charset=utf-8", "a(b", "a\nb", "a\rb", "a\0b", "req_1"),
    ]
)
statuses = st.sampled_from(["HTTP/1.1 200 OK", "HTTP/1.1 429 Too Many", "HTTP/1.0 200 OK", "HTTP/1.1 204 Nothing"])


def head(fields, status="HTTP/1.1 200 OK"):
    lines = [status, *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def outcome(read, raw, method="POST"):
    try:
        return read(raw, method=method)
    except FramingError as error:
        return str(error)


def parsed(raw, *, method):
    return parse_head(raw, method=method, request_id_names=NAMES)


@given(
    names=st.lists(field_names, max_size=5),
    rows=st.lists(st.tuples(statuses, st.lists(values, min_size=5, max_size=5)), min_size=1, max_size=5),
    methods=st.lists(st.sampled_from(["POST", "HEAD"]), min_size=5, max_size=5),
)
def test_whatever_was_learned_a_head_is_read_as_the_parser_reads_it(names, rows, methods):
    reader = HeadReader(NAMES)

    for (status, row), method in zip(rows, methods, strict=False):
        raw = head(zip(names, row, strict=False), status)
        assert outcome(reader.read, raw, method) == outcome(parsed, raw, method)


@pytest.fixture
def parser_calls(monkeypatch):
    calls = []

    def counted(raw, **options):
        calls.append(raw)
        return parse_head(raw, **options)

    monkeypatch.setattr("proxy.upstream.head_shapes.parse_head", counted)
    return calls


def test_the_second_answer_of_a_kind_needs_no_parser(parser_calls):
    reader = HeadReader(NAMES)

    for number in range(3):
        fields = [("Date", f"day {number}"), ("Content-Length", 10 * number), ("X-Request-Id", f" req_{number} ")]
        found = reader.read(head(fields), method="POST")
        assert (found.length, found.request_id) == (10 * number, f"req_{number}")

    assert len(parser_calls) == 1


def test_chunked_answers_have_a_shape_too_and_their_coding_is_cut_out(parser_calls):
    reader = HeadReader()

    for day in ("monday", "tuesday"):
        found = reader.read(head([("Transfer-Encoding", "chunked"), ("Date", day)]), method="POST")
        assert found.relayed == f"HTTP/1.1 200 OK\r\nDate: {day}\r\n".encode()
        assert found.framing == "chunked"

    assert len(parser_calls) == 1


@pytest.mark.parametrize("name", ["Content-Type", "Content-Encoding"])
def test_a_value_that_decides_something_is_part_of_the_shape(name):
    reader = HeadReader()
    reader.read(head([(name, "first"), ("Content-Length", 1)]), method="POST")

    found = reader.read(head([(name, "other"), ("Content-Length", 1)]), method="POST")

    assert "other" in {found.content_type, found.content_encoding}


def test_lengths_that_stopped_agreeing_are_refused():
    reader = HeadReader()
    reader.read(head([("Content-Length", 5), ("Content-Length", 5)]), method="POST")

    with pytest.raises(FramingError, match="no single valid content-length"):
        reader.read(head([("Content-Length", 6), ("Content-Length", 5)]), method="POST")


def test_a_provider_whose_every_answer_differs_costs_no_more_than_parsing(monkeypatch):
    compiled, compile_pattern = [], re.compile
    monkeypatch.setattr("proxy.upstream.head_shapes.re.compile", lambda p: compiled.append(p) or compile_pattern(p))
    reader = HeadReader()

    for number in range(200):
        reader.read(head([(f"X-{number}", "a"), ("Content-Length", 1)]), method="POST")

    assert len(compiled) == 64
