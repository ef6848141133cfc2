"""What requests have in common is read once; what differs from call to call is read from each."""

from proxy.request_head import RequestHead, share

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FIELDS = ((b"Host", b"h"), (b"Authorization", b"Bearer app"), (b"X-A", b"1"), (b"x-taximeter-team", b"search"))


def test_the_lines_for_the_provider_have_its_credential_and_nothing_of_ours():
    assert share(FIELDS).lines(None) == b"Authorization: Bearer app\r\nX-A: 1\r\n"
    assert share(FIELDS).lines(("authorization", "Bearer op")) == b"Authorization: Bearer op\r\nX-A: 1\r\n"
    assert share(FIELDS).lines(("x-api-key", "op")) == b"X-A: 1\r\nx-api-key: op\r\n"


def test_the_caller_is_read_off_the_head():
    identity = share(FIELDS).identity

    assert identity.caller.team == "search"
    assert identity.credential == b"app"


def test_a_call_without_a_trace_is_a_trace_named_like_the_call():
    head = RequestHead(share(FIELDS), [(b"content-length", b"5")])

    assert head.declared_length == b"5"
    assert head.trace("c" * 32, "s" * 16).trace_id == "c" * 32
    assert not head.expects_continue


def test_a_call_continues_the_trace_of_the_app():
    head = RequestHead(share(FIELDS), [(b"traceparent", PARENT), (b"tracestate", b"a=1"), (b"expect", b"100-Continue")])
    ids = head.trace("c" * 32, "5" * 16)

    assert (ids.trace_id, ids.parent_span_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert head.trace_lines(ids, "7" * 16) == (
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-7777777777777777-01\r\ntracestate: a=1\r\n"
    )
    assert head.trace_lines(ids, None) == b"traceparent: " + PARENT + b"\r\ntracestate: a=1\r\n"
    assert head.expects_continue


def test_a_trace_state_without_a_valid_parent_goes_no_further():
    head = RequestHead(share(FIELDS), [(b"traceparent", b"nonsense"), (b"tracestate", b"a=1")])
    ids = head.trace("c" * 32, "5" * 16)

    assert head.trace_lines(ids, "7" * 16) == b"traceparent: 00-" + b"c" * 32 + b"-7777777777777777-01\r\n"
