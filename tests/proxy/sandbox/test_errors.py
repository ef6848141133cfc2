import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sandbox.controls import ControlError
from proxy.sandbox.errors import anthropic_failure, base_resp, minimax_failure, openai_failure, parse_error
from proxy.sandbox.words import MARKER

STATUSES = ["400", "401", "402", "403", "404", "408", "413", "429", "500", "503", "529"]


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_asked_for_is_the_status_of_every_dialect(status):
    wish = parse_error(status)
    assert openai_failure(wish.kind).status == int(status)
    assert anthropic_failure(wish.kind, "req").status == int(status)
    assert minimax_failure(wish, "req").status == int(status)


@pytest.mark.parametrize("kind", [*STATUSES, "overloaded", "quota", "context", "credit", "filter"])
def test_every_error_has_its_dialects_envelope_and_says_that_it_is_simulated(kind):
    wish = parse_error(kind)
    openai = openai_failure(kind).body["error"]
    assert set(openai) == {"message", "type", "param", "code"}
    anthropic = anthropic_failure(kind, "req_1").body
    assert (anthropic["type"], anthropic["request_id"]) == ("error", "req_1")
    minimax = minimax_failure(wish, "req_1").body
    assert minimax["error"]["message"].endswith(f"({wish.code})")
    assert minimax["error"]["http_code"] == str(minimax_failure(wish, "req_1").status)
    for error in (openai, anthropic["error"], minimax["error"]):
        assert error["message"].startswith(MARKER)


def test_overloaded_is_503_with_openai_and_529_with_the_others():
    assert openai_failure("overloaded").status == 503
    assert anthropic_failure("overloaded", "req").status == 529
    assert minimax_failure(parse_error("overloaded"), "req").status == 529


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("401", 401, "invalid_api_key"),
        ("429", 429, "rate_limit_exceeded"),
        ("quota", 429, "insufficient_quota"),
        ("context", 400, "context_length_exceeded"),
        ("404", 404, "model_not_found"),
    ],
)
def test_openai_tells_its_errors_apart_by_code(kind, status, code):
    failure = openai_failure(kind)
    assert (failure.status, failure.body["error"]["code"]) == (status, code)


def test_anthropic_words_a_lack_of_credit_as_an_invalid_request():
    failure = anthropic_failure("credit", "req")
    assert (failure.status, failure.body["error"]["type"]) == (400, "invalid_request_error")
    assert "credit balance is too low" in failure.body["error"]["message"]


@pytest.mark.parametrize(
    ("code", "status", "error_type"),
    [
        (1002, 429, "rate_limit_error"),
        (1004, 401, "authorized_error"),
        (1008, 402, "insufficient_balance_error"),
        (1027, 422, "unprocessable_entity_error"),
        (2056, 429, "rate_limit_error"),
        (2064, 529, "overloaded_error"),
    ],
)
def test_a_minimax_code_has_its_status_and_type(code, status, error_type):
    wish = parse_error(f"base:{code}")
    failure = minimax_failure(wish, "req")
    assert wish.in_body
    assert (failure.status, failure.body["error"]["type"]) == (status, error_type)
    assert base_resp(code)["status_code"] == code


def test_minimax_takes_anthropics_types_on_anthropics_path():
    error = minimax_failure(parse_error("1004"), "req", anthropic=True).body["error"]
    assert error["type"] == "authentication_error"
    assert "http_code" not in error


def test_an_error_may_come_in_the_stream():
    assert parse_error("stream:1027").in_stream
    assert parse_error("stream:overloaded").kind == "overloaded"
    assert not parse_error("529").in_stream


def test_words_of_ones_own_are_marked_once():
    assert openai_failure("400", "no").body["error"]["message"] == f"{MARKER} simulated error: no"
    assert openai_failure("400", f"{MARKER} no").body["error"]["message"] == f"{MARKER} no"


@given(st.text())
def test_any_text_is_an_error_wish_or_a_control_error(text):
    with contextlib.suppress(ControlError):
        assert parse_error(text).code
