import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.tracing import MAX_STATE_CHARS, format_traceparent, parse_traceparent, trace_changes, trace_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01".encode()
NEW_TRACE = "1" * 32
NEW_SPAN = "2" * 16


@given(
    st.text("0123456789abcdef", min_size=32, max_size=32).filter(lambda t: t.strip("0")),
    st.text("0123456789abcdef", min_size=16, max_size=16).filter(lambda t: t.strip("0")),
    st.booleans(),
)
def test_what_is_written_can_be_read(trace_id, span_id, sampled):
    parent = parse_traceparent(format_traceparent(trace_id, span_id, sampled=sampled))

    assert parent is not None
    assert (parent.trace_id, parent.span_id, parent.sampled) == (trace_id, span_id, sampled)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00",
        VALID[:-1],
        VALID + b"0",
        VALID + b"-",
        VALID + b"-00",
        b" " + VALID,
        VALID + b"\n",
        VALID.upper(),
        VALID.replace(b"-", b"_"),
        b"ff" + VALID[2:],
        b"0g" + VALID[2:],
        b"0" + VALID,
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE}-{SPAN}-0x".encode(),
        f"01-{TRACE}-{SPAN}-01x".encode(),
        f"00-{TRACE}-{SPAN}".encode(),
        f"00-{TRACE[:-1]}\xe9-{SPAN}-01".encode("latin-1"),
    ],
)
def test_a_traceparent_that_breaks_the_letter_is_none(value):
    assert parse_traceparent(value) is None


def test_a_later_version_is_read_as_far_as_it_is_known():
    for more in (b"", b"-", b"-what-the-future-may.say"):
        parent = parse_traceparent(b"cc" + VALID[2:] + more)
        assert parent is not None
        assert parent.trace_id == TRACE


def test_only_the_sampled_bit_of_the_flags_is_taken_over():
    assert [parse_traceparent(VALID[:-2] + flags).sampled for flags in (b"00", b"01", b"02", b"03", b"ff")] == [
        False,
        True,
        False,
        True,
        True,
    ]


@given(st.binary(max_size=80))
def test_reading_never_raises_and_takes_nothing_that_is_not_one(value):
    parent = parse_traceparent(value)
    assert parent is None or parent.trace_id.encode() in value


def test_a_call_is_a_child_of_the_apps_span():
    ids = trace_of([VALID[:-2] + b"00"], [b"a=1", b"b=2"], trace_id=NEW_TRACE, span_id=NEW_SPAN)

    assert (ids.trace_id, ids.span_id, ids.parent_span_id) == (TRACE, NEW_SPAN, SPAN)
    assert (ids.sampled, ids.state) == (False, "a=1,b=2")


@pytest.mark.parametrize("parents", [[], [b"nonsense"], [VALID, VALID]])
def test_without_one_valid_parent_the_call_begins_a_trace_and_the_state_means_nothing(parents):
    ids = trace_of(parents, [b"a=1"], trace_id=NEW_TRACE, span_id=NEW_SPAN)

    assert (ids.trace_id, ids.span_id, ids.parent_span_id) == (NEW_TRACE, NEW_SPAN, "")
    assert (ids.sampled, ids.state) == (True, "")


def test_a_state_that_is_too_long_is_not_kept():
    ids = trace_of([VALID], [b"a=" + b"x" * MAX_STATE_CHARS], trace_id=NEW_TRACE, span_id=NEW_SPAN)

    assert ids.state == ""


def test_the_provider_gets_the_attempts_span_and_the_state_only_with_its_parent():
    child = trace_of([VALID], [b"a=1"], trace_id=NEW_TRACE, span_id=NEW_SPAN)
    root = trace_of([], [b"a=1"], trace_id=NEW_TRACE, span_id=NEW_SPAN)

    assert trace_changes(child, "3" * 16) == {b"traceparent": f"00-{TRACE}-{'3' * 16}-01".encode()}
    assert trace_changes(root, "3" * 16) == {
        b"traceparent": f"00-{NEW_TRACE}-{'3' * 16}-01".encode(),
        b"tracestate": None,
    }
