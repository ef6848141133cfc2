import json

import httpx2
import openai
import pytest

from proxy.dialects.openai_chat import OPENAI_CHAT
from tests.fakes.dialect_corpus import assert_reads_as_recorded, assert_request_reads_as_recorded, recorded
from tests.fakes.dialect_reading import facts_of


@pytest.mark.parametrize("case", recorded(OPENAI_CHAT))
def test_reads_recorded_answers_however_they_are_cut(case):
    assert_reads_as_recorded(OPENAI_CHAT, case)


@pytest.mark.parametrize("case", recorded(OPENAI_CHAT))
def test_reads_recorded_requests(case):
    assert_request_reads_as_recorded(OPENAI_CHAT, case)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (502, openai.InternalServerError),
    ],
)
def test_the_official_sdk_takes_our_error_for_what_it_is(status, kind):
    answer = OPENAI_CHAT.error_body(status, "first_byte_timeout", "no answer in 600 s", "call-1")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=answer))
    client = openai.OpenAI(api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport))
    with pytest.raises(kind, match="Taximeter: no answer in 600 s") as raised:
        client.chat.completions.create(model="m", messages=[])
    assert raised.value.code == "first_byte_timeout"


def test_our_error_reads_as_an_error_of_this_dialect():
    answer = OPENAI_CHAT.error_body(504, "first_byte_timeout", "no answer", "call-1")
    error = facts_of(OPENAI_CHAT, answer, status=504, content_type="application/json").error
    assert (error.code, error.type, error.message) == ("first_byte_timeout", "server_error", "Taximeter: no answer")
    assert json.loads(answer)["request_id"] == "call-1"
