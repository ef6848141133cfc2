import pytest

from exporters.clickhouse.route import route


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", "/x/v1/chat/completions"),
        ("/v1/text/chatcompletion_v2", "/x/v1/text/chatcompletion_v2"),
        ("/v1/t2a_async_v2", "/x/v1/t2a_async_v2"),
        ("/v1/query/t2a_async_query_v2", "/x/v1/query/t2a_async_query_v2"),
        ("/v1beta/openai/chat/completions", "/x/v1beta/openai/chat/completions"),
        ("/anthropic/v1/messages", "/x/anthropic/v1/messages"),
        ("/v1beta/models/gemini-2.5-pro:generateContent", "/x/v1beta/models/{id}:generateContent"),
        ("/openai/deployments/gpt-4o/chat/completions", "/x/openai/deployments/{id}/chat/completions"),
        ("/v1/files/file-abc123/content", "/x/v1/files/{id}/content"),
        ("/v1/responses/resp_67ccd2bed1ec8190b14f964abc054267", "/x/v1/responses/{id}"),
        ("/v1/models/gpt-4.1", "/x/v1/models/{id}"),
        ("/v1/chat/completions?key=secret1", "/x/v1/chat/completions"),
        ("/", "/x/"),
        ("", "/x/"),
        ("/a/b/c/d/e/f/g/h/i/j", "/x/a/b/c/d/e/f/g/h/..."),
        ("/v1/%66iles", "/x/v1/{id}"),
    ],
)
def test_values_are_taken_out_of_a_path_and_words_stay(path, expected):
    assert route("x", path, "chat") == expected


@pytest.mark.parametrize(("provider", "operation"), [("x", ""), ("x", "unknown"), ("", "chat")])
def test_a_path_that_nobody_described_has_no_route(provider, operation):
    assert route(provider, "/wp-admin", operation) == ""
