"""What is read of an answer for its row."""

from types import SimpleNamespace

from proxy.core.errors import ErrorFacts
from proxy.core.facts import ResponseFacts
from proxy.routed_row import had_answer, header_values, last_event, without_keys

KEY = SimpleNamespace(secret="operators-key")
UPSTREAM = SimpleNamespace(keys=SimpleNamespace(all=(KEY,)))
CALL = SimpleNamespace(identity=SimpleNamespace(credentials=(b"apps-own-key",)), upstream=UPSTREAM)


def test_keys_do_not_stay_in_what_a_provider_says_of_them():
    error = ErrorFacts(error_class="auth", message="bad key apps-own-key, operators-key")

    assert "-key" not in without_keys(error, CALL, UPSTREAM).message


def test_only_wanted_headers_are_read_and_the_first_of_a_name_counts():
    raw = b"HTTP/1.1 429 No\r\nRetry-After: 3\r\nretry-after: 9\r\nX: 1\r\n\r\n"

    assert header_values(raw, {"retry-after"}) == {"retry-after": "3"}


def test_the_last_event_is_the_last_that_says_something():
    assert last_event(b'data: {"a":1}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n') == b'{"b":2}'
    assert last_event(b": ping\n\n") == b""


def test_an_app_that_leaves_after_the_end_marker_had_its_answer():
    exchange = SimpleNamespace(head=object(), complete=False)

    assert had_answer(exchange, ResponseFacts(stream_end="done_marker"))
    assert not had_answer(exchange, ResponseFacts())
    assert not had_answer(None, ResponseFacts())
