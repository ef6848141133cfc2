import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.core.sse import BOM, Event, EventSplitter


def split_all(stream, sizes=(), max_event_bytes=1 << 20):
    """Feed `stream` in pieces of the given sizes, then the rest at once."""
    splitter = EventSplitter(max_event_bytes)
    events, at = [], 0
    for size in sizes:
        events += splitter.feed(stream[at : at + size])
        at += size
    events += splitter.feed(stream[at:])
    return events + splitter.finish()


def dispatched(events):
    return [(event.name, event.data) for event in events if event.data is not None]


def by_the_book(stream):
    """The specification, step by step, over the whole stream; an unfinished event at the end is dispatched too."""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(BOM))
    found, data, name = [], [], b""
    for line in [*lines, b""]:
        if not line:
            if b"\n".join(data):
                found.append((name, b"\n".join(data)))
            data, name = [], b""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return found


LINE_ENDS = [b"\n", b"\r\n", b"\r"]
PIECES = [
    *LINE_ENDS,
    b"data: ",
    b"data:",
    b"data",
    b"event: x",
    b": note",
    b"id: 1",
    b"{}",
    b" ",
    b":",
    BOM,
    b"\x00",
    b"\xff",
]
streams = st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join)
cuts = st.lists(st.integers(0, 7), max_size=24)


@given(streams, cuts)
@example(b"data: a\r\r\ndata: b\r\r", [9])
@example(b"data: a\n\r\ndata: b\n\r", [9])
@example(BOM + b"\n\ndata: a", [1, 1, 1, 1])
@example(b"\n\n\ndata: a\n\n\n", [])
def test_reads_what_the_specification_reads_however_the_bytes_are_cut(stream, sizes):
    events = split_all(stream, sizes)
    assert dispatched(events) == by_the_book(stream)
    assert events == split_all(stream, [1] * len(stream))


@given(st.one_of(streams, st.binary(max_size=200)), cuts, st.integers(1, 40))
def test_the_raws_joined_are_the_stream_even_after_giving_up(stream, sizes, max_event_bytes):
    events = split_all(stream, sizes, max_event_bytes)
    assert b"".join(event.raw for event in events) == stream


@given(streams, cuts, st.integers(4, 40))
def test_gives_up_at_the_same_event_however_the_bytes_are_cut(stream, sizes, max_event_bytes):
    assert dispatched(split_all(stream, sizes, max_event_bytes)) == dispatched(split_all(stream, [], max_event_bytes))


@pytest.mark.parametrize("end", LINE_ENDS)
def test_an_event_is_handed_out_with_the_last_byte_of_its_blank_line(end):
    splitter = EventSplitter()
    for number in range(3):
        raw = b"event: tick" + end + b"data: %d" % number + end + end
        assert splitter.feed(raw[:-1]) == []
        assert splitter.feed(raw[-1:]) == [Event(raw, b"%d" % number, b"tick")]
    assert splitter.finish() == []


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\n\n", b"a"),
        (b"data:  a\n\n", b" a"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: a\r\n\r\n", b"a"),
        (b"data: a\r\ndata: b\r\n\r\n", b"a\nb"),
        (b"data: a\n\r\n", b"a"),
        (b"data\ndata\n\n", b"\n"),
        (b"data:\n\n", None),
        (b"data: \n\n", None),
        (b": keep-alive\n\n", None),
        (b"retry: 10\n\n", None),
        (b": note\nid: 7\nretry: 10\ndata: a\n\n", b"a"),
        (b"Data: a\n\n", None),
        (b" data: a\n\n", None),
    ],
)
def test_data_is_the_data_lines_joined(raw, data):
    assert split_all(raw) == [Event(raw, data)]


@pytest.mark.parametrize("end", LINE_ENDS)
def test_the_name_is_the_event_field(end):
    raw = b"event: x" + end + b"data: a" + end + end
    assert split_all(raw) == [Event(raw, b"a", b"x")]
    raw = b"event: x" + end + b"event:y" + end + b"data: a" + end + b"data: b" + end + end
    assert split_all(raw) == [Event(raw, b"a\nb", b"y")]


def test_several_events_of_one_chunk_come_out_together():
    splitter = EventSplitter()
    events = splitter.feed(b"data: a\n\n: note\n\nevent: e\ndata: b\n\ndata: c")
    assert dispatched(events) == [(b"", b"a"), (b"e", b"b")]
    assert dispatched(splitter.feed(b"\n\n")) == [(b"", b"c")]


def test_a_byte_order_mark_is_no_part_of_the_first_line_but_of_the_first_raw():
    assert split_all(BOM + b"data: a\n\n") == [Event(BOM + b"data: a\n\n", b"a")]
    assert split_all(BOM + b"data: a\n\n", [1, 1]) == [Event(BOM + b"data: a\n\n", b"a")]


def test_a_byte_order_mark_later_on_is_an_ordinary_byte():
    assert dispatched(split_all(b"data: a\n\n" + BOM + b"data: b\n\n")) == [(b"", b"a")]


def test_an_event_without_its_blank_line_is_reported_at_the_end_as_incomplete():
    splitter = EventSplitter()
    assert splitter.feed(b"data: [DONE]") == []
    assert splitter.finish() == [Event(b"data: [DONE]", b"[DONE]", complete=False)]
    assert splitter.finish() == []


def test_an_event_too_long_ends_the_splitting_and_holds_nothing_more():
    splitter = EventSplitter(max_event_bytes=32)
    assert dispatched(splitter.feed(b"data: a\n\n")) == [(b"", b"a")]
    assert splitter.feed(b"data: " + b"x" * 20) == []
    assert splitter.failed is None
    given_up = splitter.feed(b"x" * 20)
    assert splitter.failed == "event_too_long"
    assert given_up == [Event(b"data: " + b"x" * 40, complete=False)]
    assert splitter.feed(b"data: b\n\n") == [Event(b"data: b\n\n", complete=False)]
    assert splitter.finish() == []


def test_an_event_of_exactly_the_limit_passes():
    raw = b"data: " + b"x" * 24 + b"\n\n"
    assert dispatched(split_all(raw, max_event_bytes=len(raw))) == [(b"", b"x" * 24)]
    assert dispatched(split_all(raw, [3, 20], max_event_bytes=len(raw))) == [(b"", b"x" * 24)]
    assert dispatched(split_all(raw, max_event_bytes=len(raw) - 1)) == []


def test_a_long_event_in_many_small_pieces_is_read_whole():
    piece = b"x" * 512
    splitter = EventSplitter()
    splitter.feed(b"data: ")
    for _ in range(16_384):
        splitter.feed(piece)
    (event,) = splitter.feed(b"\n\n")
    assert len(event.data) == 16_384 * 512
