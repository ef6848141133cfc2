import pytest

from proxy.core.errors import ErrorSeen
from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.dialects.openai_responses import OPENAI_RESPONSES
from proxy.providers.azure import AZURE

CHAT = "/openai/deployments/prod-4o/chat/completions"


@pytest.mark.parametrize(
    ("path", "operation", "dialect", "model"),
    [
        (CHAT, "chat", OPENAI_CHAT, "prod-4o"),
        ("/openai/deployments/my%20model/chat/completions/", "chat", OPENAI_CHAT, "my model"),
        ("/gateway/openai/deployments/e/embeddings", "embeddings", None, "e"),
        ("/openai/deployments/i/images/generations", "image", None, "i"),
        ("/openai/deployments/w/audio/transcriptions", "transcription", None, "w"),
        ("/openai/v1/chat/completions", "chat", OPENAI_CHAT, None),
        ("/openai/responses", "chat", OPENAI_RESPONSES, None),
        ("/openai/v1/responses", "chat", OPENAI_RESPONSES, None),
        ("/models/chat/completions", "chat", OPENAI_CHAT, None),
        ("/anthropic/v1/messages", "chat", ANTHROPIC_MESSAGES, None),
        ("/openai/deployments/", "unknown", None, None),
    ],
)
def test_the_deployment_in_a_path_is_the_model(path, operation, dialect, model):
    route = AZURE.route("POST", path)

    assert (route.operation, route.dialect, route.model) == (operation, dialect, model)


def test_the_list_of_deployments_is_free():
    assert not AZURE.route("GET", "/openai/deployments").billable


@pytest.mark.parametrize(
    ("path", "query", "asks"),
    [
        (CHAT, "api-version=2024-09-01-preview", True),
        (CHAT, "api-version=2024-10-21", True),
        (CHAT, "a=1&api-version=2025-04-01-preview", True),
        (CHAT, "api-version=2024-08-01-preview", False),
        (CHAT, "api-version=2023-05-15", False),
        (CHAT, "api-version=nonsense", False),
        (CHAT, "", False),
        ("/openai/v1/chat/completions", "", True),
        ("/openai/v1/chat/completions", "api-version=preview", True),
        ("/models/chat/completions", "api-version=2024-05-01-preview", False),
        ("/models/chat/completions", "", False),
        ("/openai/v1/responses", "api-version=2025-04-01-preview", False),
    ],
)
def test_usage_is_asked_for_where_the_version_knows_the_option(path, query, asks):
    assert AZURE.injects_usage(path, query) is asks


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (ErrorSeen(status=400, code="content_filter", detail="ResponsibleAIPolicyViolation"), "content_filter"),
        (ErrorSeen(status=400, message="filtered", detail="ResponsibleAIPolicyViolation"), "content_filter"),
        (ErrorSeen(status=404, code="DeploymentNotFound"), "model_not_found"),
        (ErrorSeen(status=429, code="429", message="Requests to this API have exceeded the limit"), "rate_limit"),
        (ErrorSeen(status=401, code="401", message="Access denied due to invalid subscription key"), "auth"),
        (ErrorSeen(status=400, code="context_length_exceeded"), "context_length"),
    ],
)
def test_errors_are_classed_by_code_and_inner_error(error, error_class):
    assert AZURE.classify(error) == error_class


def test_the_operator_says_where_it_is_and_the_key_stands_bare():
    assert AZURE.base_urls == {}
    assert AZURE.credential(CHAT, "k") == ("api-key", "k")
    assert AZURE.request_id_headers[0] == "apim-request-id"
