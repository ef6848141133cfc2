import pytest

from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.dialects.openai_responses import OPENAI_RESPONSES
from proxy.providers.routing import PathTable
from proxy.providers.surfaces import ANTHROPIC_SURFACE, OPENAI_SURFACE

TABLE = PathTable([*OPENAI_SURFACE, *ANTHROPIC_SURFACE], error_dialect=OPENAI_CHAT)


@pytest.mark.parametrize(
    ("path", "operation", "dialect"),
    [
        ("/v1/chat/completions", "chat", OPENAI_CHAT),
        ("/v1/completions", "completion", OPENAI_CHAT),
        ("/v1/responses", "chat", OPENAI_RESPONSES),
        ("/v1/responses/compact", "chat", OPENAI_RESPONSES),
        ("/v1/messages", "chat", ANTHROPIC_MESSAGES),
        ("/v1/embeddings", "embeddings", None),
        ("/v1/moderations", "moderation", None),
        ("/v1/images/generations", "image", None),
        ("/v1/images/edits", "image", None),
        ("/v1/images/variations", "image", None),
        ("/v1/audio/speech", "speech", None),
        ("/v1/audio/transcriptions", "transcription", None),
        ("/v1/audio/translations", "transcription", None),
        ("/v1/videos", "video", None),
        ("/v1/realtime/calls", "realtime", None),
    ],
)
def test_what_makes_something_is_billed(path, operation, dialect):
    route = TABLE("POST", path)

    assert (route.operation, route.billable, route.dialect) == (operation, True, dialect)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/responses/input_tokens", "count_tokens"),
        ("POST", "/v1/messages/count_tokens", "count_tokens"),
        ("GET", "/v1/models", "models"),
        ("GET", "/v1/models/gpt-5", "models"),
        ("DELETE", "/v1/models/ft:gpt-4o:me", "models"),
        ("GET", "/anthropic/v1/models", "models"),
        ("GET", "/v1/chat/completions", "chat.stored"),
        ("DELETE", "/v1/chat/completions/c1", "chat.stored"),
        ("GET", "/v1/chat/completions/c1/messages", "chat.stored"),
        ("GET", "/v1/responses/resp_1", "chat.stored"),
        ("POST", "/v1/responses/resp_1/cancel", "chat.stored"),
        ("GET", "/v1/responses/resp_1/input_items", "chat.stored"),
        ("POST", "/v1/conversations", "conversations"),
        ("GET", "/v1/conversations/c/items/i", "conversations"),
        ("POST", "/v1/batches", "batch"),
        ("GET", "/v1/batches/batch_1", "batch"),
        ("POST", "/v1/batches/batch_1/cancel", "batch"),
        ("POST", "/v1/messages/batches", "batch"),
        ("GET", "/v1/messages/batches/b", "batch"),
        ("POST", "/v1/messages/batches/b/cancel", "batch"),
        ("POST", "/v1/files", "files"),
        ("GET", "/v1/files/f/content", "files"),
        ("POST", "/v1/uploads/u/parts", "files"),
        ("GET", "/v1/videos/v", "video.query"),
        ("GET", "/v1/videos/v/content", "video.query"),
        ("POST", "/v1/realtime/client_secrets", "realtime.session"),
        ("OPTIONS", "/v1/chat/completions", "preflight"),
    ],
)
def test_lists_counts_polls_and_files_are_free(method, path, operation):
    route = TABLE(method, path)

    assert (route.operation, route.billable) == (operation, False)


def test_a_poll_is_not_read_for_it_repeats_the_usage_of_another_call():
    assert TABLE("GET", "/v1/responses/resp_1").dialect is None
    assert TABLE("GET", "/v1/batches/batch_1").dialect is None


def test_realtime_is_a_websocket_and_the_results_of_a_batch_are_its_bill():
    assert TABLE("GET", "/v1/realtime").billable
    assert TABLE("GET", "/v1/messages/batches/b/results").billable


def test_a_thread_of_openai_is_no_message_of_anthropic():
    assert TABLE("POST", "/v1/threads/t/messages").operation == "unknown"
