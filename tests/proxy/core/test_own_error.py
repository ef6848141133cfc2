import json

import pytest

from proxy.core.own_error import openai_error_body, own_words


def test_our_message_says_who_speaks():
    assert own_words("the upstream did not answer") == "Taximeter: the upstream did not answer"


def test_a_message_that_says_so_already_is_left():
    assert own_words("refused by Taximeter") == "refused by Taximeter"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (404, "invalid_request_error"),
        (429, "rate_limit_error"),
        (502, "server_error"),
    ],
)
def test_openais_envelope_has_the_type_of_the_status(status, kind):
    assert json.loads(openai_error_body(status, "bad_route", "no such provider", "call-1")) == {
        "error": {"message": "Taximeter: no such provider", "type": kind, "param": None, "code": "bad_route"},
        "request_id": "call-1",
    }
