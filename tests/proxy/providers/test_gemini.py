import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import ErrorSeen
from proxy.core.facts import RequestFacts, ResponseFacts
from proxy.core.usage import Usage
from proxy.dialects.gemini_generate import GEMINI_GENERATE
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.gemini import GEMINI, amend


@pytest.mark.parametrize(
    ("method", "path", "operation", "billable", "dialect", "model"),
    [
        ("POST", "/v1beta/models/gemini-3-pro:generateContent", "chat", True, GEMINI_GENERATE, "gemini-3-pro"),
        ("POST", "/v1/models/gemini-3-pro:streamGenerateContent/", "chat", True, GEMINI_GENERATE, "gemini-3-pro"),
        ("POST", "/v1beta/models/gemini-3-pro%3AgenerateContent", "chat", True, GEMINI_GENERATE, "gemini-3-pro"),
        ("POST", "/v1beta/tunedModels/mine:generateContent", "chat", True, GEMINI_GENERATE, "mine"),
        (
            "POST",
            "/v1/projects/p/locations/eu/publishers/google/models/gemini-3-pro:generateContent",
            "chat",
            True,
            GEMINI_GENERATE,
            "gemini-3-pro",
        ),
        ("POST", "/v1beta/models/m:countTokens", "count_tokens", False, GEMINI_GENERATE, "m"),
        ("POST", "/v1beta/models/m:embedContent", "embeddings", True, None, "m"),
        ("POST", "/v1beta/models/m:batchEmbedContents", "embeddings", True, None, "m"),
        ("POST", "/v1beta/models/m:batchGenerateContent", "batch", False, None, "m"),
        ("POST", "/v1beta/models/imagen:predict", "image", True, None, "imagen"),
        ("POST", "/v1beta/models/veo:predictLongRunning", "video", True, None, "veo"),
        ("GET", "/v1beta/models/veo/operations/o1", "video.query", False, None, None),
        ("GET", "/v1beta/models", "models", False, None, None),
        ("GET", "/v1beta/models/gemini-3-pro", "models", False, None, None),
        ("POST", "/v1beta/cachedContents", "cache", True, None, None),
        ("DELETE", "/v1beta/cachedContents/c1", "cache", False, None, None),
        ("POST", "/upload/v1beta/files", "files", False, None, None),
        ("GET", "/v1beta/batches/b1", "batch", False, None, None),
        (
            "GET",
            "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
            "realtime",
            True,
            None,
            None,
        ),
        ("POST", "/v1beta/openai/chat/completions", "chat", True, OPENAI_CHAT, None),
        ("POST", "/v1beta/openai/embeddings", "embeddings", True, None, None),
        ("GET", "/v1beta/openai/models", "models", False, None, None),
        ("POST", "/v1beta/models/m:newVerb", "unknown", True, None, None),
        ("GET", "/v1beta/models/m:generateContent", "models", False, None, None),
    ],
)
def test_every_endpoint_has_its_operation_and_the_path_names_the_model(
    method, path, operation, billable, dialect, model
):
    route = GEMINI.route(method, path)

    assert (route.operation, route.billable, route.dialect, route.model) == (operation, billable, dialect, model)


def test_our_errors_come_in_the_envelope_of_the_path():
    assert GEMINI.route("POST", "/v1beta/models/m:generateContent").error_dialect is GEMINI_GENERATE
    assert GEMINI.route("POST", "/unheard-of").error_dialect is GEMINI_GENERATE
    assert GEMINI.route("POST", "/v1beta/openai/chat/completions").error_dialect is OPENAI_CHAT
    assert GEMINI.route("GET", "/v1beta/openai/models").error_dialect is OPENAI_CHAT


def test_the_compatible_api_takes_a_bearer_and_the_native_one_its_own_header():
    assert GEMINI.credential("/v1beta/openai/chat/completions", "AIza") == ("authorization", "Bearer AIza")
    assert GEMINI.credential("/v1beta/models/m:generateContent", "AIza") == ("x-goog-api-key", "AIza")
    assert GEMINI.credential_query == "key"


def test_usage_is_asked_for_on_the_compatible_api_only():
    assert GEMINI.injects_usage("/v1beta/openai/chat/completions", "")
    assert not GEMINI.injects_usage("/v1beta/models/m:streamGenerateContent", "alt=sse")


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (ErrorSeen(status=400, type="INVALID_ARGUMENT", message="API key not valid. Please pass one."), "auth"),
        (ErrorSeen(status=400, type="INVALID_ARGUMENT", detail="API_KEY_INVALID"), "auth"),
        (ErrorSeen(status=400, type="INVALID_ARGUMENT", message="bad schema"), "invalid_request"),
        (
            ErrorSeen(
                status=400,
                type="INVALID_ARGUMENT",
                message="The input token count exceeds the maximum number of tokens",
            ),
            "context_length",
        ),
        (ErrorSeen(status=400, type="FAILED_PRECONDITION"), "permission"),
        (ErrorSeen(status=401, type="UNAUTHENTICATED"), "auth"),
        (ErrorSeen(status=403, type="PERMISSION_DENIED"), "permission"),
        (ErrorSeen(status=404, type="NOT_FOUND", message="models/x is not found for API version"), "model_not_found"),
        (ErrorSeen(status=429, type="RESOURCE_EXHAUSTED", message="You exceeded your current quota"), "rate_limit"),
        (ErrorSeen(status=429, detail="GenerateRequestsPerMinutePerProjectPerModel-FreeTier"), "rate_limit"),
        (ErrorSeen(status=429, detail="GenerateRequestsPerDayPerProjectPerModel-FreeTier"), "quota_exhausted"),
        (
            ErrorSeen(
                status=200, code="429", type="RESOURCE_EXHAUSTED", detail="XPerMinute-Free YPerDayPerProject-Free"
            ),
            "quota_exhausted",
        ),
        (ErrorSeen(status=500, type="INTERNAL"), "server_error"),
        (ErrorSeen(status=503, type="UNAVAILABLE", message="The model is overloaded."), "overloaded"),
        (ErrorSeen(status=504, type="DEADLINE_EXCEEDED"), "timeout"),
        (ErrorSeen(status=200, code="503", type="UNAVAILABLE"), "overloaded"),
    ],
)
def test_errors_are_classed_by_status_word_and_reason(error, error_class):
    assert GEMINI.classify(error) == error_class


def amended(**figures):
    return amend(RequestFacts(), ResponseFacts(usage=Usage(**figures))).usage


def test_what_the_total_has_more_is_hidden_thinking():
    usage = amended(input_tokens=35, output_tokens=12, total_tokens=109)

    assert (usage.output_tokens, usage.reasoning_tokens) == (74, 62)


def test_reasoning_that_was_stated_is_kept():
    usage = amended(input_tokens=35, output_tokens=12, total_tokens=109, reasoning_tokens=60)

    assert (usage.output_tokens, usage.reasoning_tokens) == (74, 60)


COUNTS = st.none() | st.integers(0, 10_000)


@given(COUNTS, COUNTS, COUNTS)
def test_nothing_else_is_changed(prompt, output, total):
    usage = amended(input_tokens=prompt, output_tokens=output, total_tokens=total)

    if None not in {prompt, output, total} and total > prompt + output:
        assert usage.input_tokens + usage.output_tokens == total
    else:
        assert usage == Usage(input_tokens=prompt, output_tokens=output, total_tokens=total)
