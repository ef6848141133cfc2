from hypothesis import given
from hypothesis import strategies as st

from proxy.core.headers import (
    CREDENTIALS,
    HOP_BY_HOP,
    WEBSOCKET_HANDSHAKE,
    answer_head,
    changed,
    credential_changes,
    media_type,
    read_request_head,
    read_response_head,
    upstream_headers,
    websocket_key,
    without,
)

ANY_CASE = st.sampled_from([bytes.lower, bytes.upper, bytes.title])
PASSING_NAMES = st.sampled_from(
    [b"accept", b"cookie", b"x-a", b"set-cookie", b"user-agent", b"via", b"x-forwarded-for"]
)
VALUES = st.binary(min_size=1, max_size=8).filter(lambda value: not set(value) & set(b"\r\n"))


@st.composite
def fields(draw, names):
    return draw(ANY_CASE)(draw(names)), draw(VALUES)


@given(st.lists(fields(PASSING_NAMES)))
def test_what_may_pass_keeps_order_duplicates_and_case(headers):
    assert read_request_head(headers).forward == headers
    assert read_response_head(headers).forward == headers


@given(st.lists(fields(st.sampled_from(sorted(HOP_BY_HOP - {b"connection"})) | PASSING_NAMES)))
def test_hop_by_hop_fields_never_pass(headers):
    passing = [field for field in headers if field[0].lower() not in HOP_BY_HOP]

    assert read_request_head(headers).forward == passing
    assert read_response_head(headers).forward == passing


def test_fields_named_in_any_connection_field_go_wherever_they_stand():
    head = read_request_head(
        [
            (b"X-Early", b"1"),
            (b"Connection", b"x-late, close"),
            (b"Keep", b"k"),
            (b"connection", b" X-EARLY "),
            (b"x-late", b"2"),
        ]
    )

    assert head.forward == [(b"Keep", b"k")]
    assert head.names == [b"keep"]


def test_connection_cannot_take_the_length_of_a_body_away():
    head = read_request_head([(b"Connection", b"content-length"), (b"Content-Length", b"5")])

    assert head.forward == [(b"Content-Length", b"5")]


def test_a_length_beside_a_transfer_encoding_is_dropped():
    head = read_response_head([(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked"), (b"A", b"b")])

    assert head.forward == [(b"A", b"b")]
    assert head.values[b"transfer-encoding"] == b"chunked"


def test_values_of_what_was_taken_off_can_still_be_read():
    head = read_request_head(
        [(b"Host", b"proxy"), (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"TE", b"trailers")]
    )

    assert head.forward == []
    assert head.values == {
        b"host": b"proxy",
        b"upgrade": b"websocket",
        b"connection": b"Upgrade",
        b"te": b"trailers",
    }


def test_our_own_fields_pass_in_neither_direction():
    headers = [(b"X-Taximeter-Team", b"a"), (b"x-taximeter-team", b"b"), (b"X-Tax", b"c")]

    for head in (read_request_head(headers), read_response_head(headers)):
        assert head.forward == [(b"X-Tax", b"c")]
        assert head.own == [(b"x-taximeter-team", b"a"), (b"x-taximeter-team", b"b")]
        assert b"x-taximeter-team" not in head.values


def test_host_is_replaced_by_the_upstreams_and_stands_first():
    head = read_request_head([(b"A", b"1"), (b"Host", b"localhost:8484")])

    assert upstream_headers(head, b"api.openai.com", {}) == [(b"Host", b"api.openai.com"), (b"A", b"1")]


def test_a_change_replaces_in_place_keeps_the_case_and_removes_further_fields_of_the_name():
    head = read_request_head([(b"A", b"1"), (b"TraceParent", b"old"), (b"B", b"2"), (b"traceparent", b"older")])

    assert changed(head, {b"traceparent": b"new"}) == [(b"A", b"1"), (b"TraceParent", b"new"), (b"B", b"2")]


def test_a_change_of_an_absent_field_adds_it_and_none_removes():
    head = read_request_head([(b"A", b"1"), (b"B", b"2")])

    assert changed(head, {b"b": None, b"c": b"3", b"d": None}) == [(b"A", b"1"), (b"c", b"3")]
    assert changed(head, {}) == [(b"A", b"1"), (b"B", b"2")]


@given(st.lists(fields(PASSING_NAMES | st.sampled_from(CREDENTIALS))), st.sampled_from(CREDENTIALS))
def test_only_the_operators_credential_reaches_the_provider(headers, name):
    head = read_request_head(headers)
    out = changed(head, credential_changes(head, name.decode(), "Bearer real"))

    kept = [field for field in headers if field[0].lower() not in CREDENTIALS]
    assert [field for field in out if field[0].lower() not in CREDENTIALS] == kept
    assert [(n.lower(), value) for n, value in out if n.lower() in CREDENTIALS] == [(name, b"Bearer real")]


def test_a_key_in_the_websocket_sub_protocols_is_found_and_taken_off():
    offered = b"realtime, openai-insecure-api-key.sk-abc,openai-beta.realtime-v1"
    head = read_request_head([(b"Sec-WebSocket-Protocol", offered)])

    assert websocket_key(head) == b"sk-abc"
    changes = credential_changes(head, "authorization", "Bearer real")
    assert changed(head, changes) == [
        (b"Sec-WebSocket-Protocol", b"realtime, openai-beta.realtime-v1"),
        (b"authorization", b"Bearer real"),
    ]


def test_without_a_key_the_sub_protocols_stay_as_they_are():
    head = read_request_head([(b"Sec-WebSocket-Protocol", b"realtime,x")])

    assert websocket_key(head) is None
    assert websocket_key(read_request_head([])) is None
    assert b"sec-websocket-protocol" not in credential_changes(head, "authorization", "Bearer real")


def test_without_drops_names_in_any_case():
    assert without([(b"Sec-WebSocket-Key", b"k"), (b"Origin", b"o")], WEBSOCKET_HANDSHAKE) == [(b"Origin", b"o")]


def test_all_values_and_first_text_find_fields_by_lower_case_name():
    head = read_response_head(
        [(b"Baggage", b"a=1"), (b"X-Request-Id", b"r\xe9"), (b"baggage", b"b=2"), (b"Empty", b"")]
    )

    assert head.all_values(b"baggage") == [b"a=1", b"b=2"]
    assert head.all_values(b"none") == []
    assert head.first_text(["none", "empty", "x-request-id"]) == "ré"
    assert head.first_text([]) == ""


def test_the_head_of_an_answer_is_told_in_lower_case_and_without_parameters():
    head = read_response_head(
        [(b"Content-Type", b"Text/Event-Stream; charset=utf-8"), (b"Content-Encoding", b" GZIP ")]
    )

    facts = answer_head(200, head)
    assert (facts.status, facts.content_type, facts.content_encoding) == (200, "text/event-stream", "gzip")
    assert answer_head(204, read_response_head([])).content_type == ""
    assert media_type(b"application/json;charset=\xff") == "application/json"


def test_a_browser_s_key_is_found_and_replaced_in_whichever_field_it_stands():
    name = b"Sec-WebSocket-Protocol"
    head = read_request_head([(name, b"realtime"), (name, b"openai-insecure-api-key.sk-abc, beta")])

    assert websocket_key(head) == b"sk-abc"
    sent = changed(head, credential_changes(head, "authorization", "Bearer sk-operator"))
    assert sent == [(name, b"realtime, beta"), (b"authorization", b"Bearer sk-operator")]
