import pytest

from proxy.core.errors import ErrorSeen
from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.dialects.minimax_native import MINIMAX_NATIVE
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.dialects.openai_responses import OPENAI_RESPONSES
from proxy.providers.minimax import MINIMAX


def judged(code, message="", status=200, type_=None, *, in_stream=False):
    facts = MINIMAX.judge(ErrorSeen(status=status, code=code, type=type_, message=message, in_stream=in_stream))
    return facts.error_class, facts.retry_same, facts.fallback, facts.fault


@pytest.mark.parametrize(
    ("method", "path", "operation", "billable", "dialect"),
    [
        ("POST", "/v1/chat/completions", "chat", True, OPENAI_CHAT),
        ("POST", "/v1/text/chatcompletion_v2", "chat", True, MINIMAX_NATIVE),
        ("POST", "/anthropic/v1/messages", "chat", True, ANTHROPIC_MESSAGES),
        ("POST", "/anthropic/v1/messages/count_tokens", "count_tokens", False, ANTHROPIC_MESSAGES),
        ("POST", "/v1/responses", "chat", True, OPENAI_RESPONSES),
        ("POST", "/v1/responses/input_tokens", "count_tokens", False, OPENAI_RESPONSES),
        ("GET", "/v1/models", "models", False, None),
        ("GET", "/v1/models/MiniMax-M3", "models", False, None),
        ("GET", "/anthropic/v1/models", "models", False, None),
        ("POST", "/v1/t2a_v2", "speech", True, None),
        ("GET", "/ws/v1/t2a_v2", "speech", True, None),
        ("GET", "/ws/v1/t2a_v2_bidi", "speech", True, None),
        ("POST", "/v1/t2a_async_v2", "speech", True, None),
        ("GET", "/v1/query/t2a_async_query_v2", "speech.query", False, None),
        ("POST", "/v1/voice_clone", "voice_clone", True, None),
        ("POST", "/v1/voice_design", "voice_design", True, None),
        ("POST", "/v1/get_voice", "voices", False, None),
        ("POST", "/v1/delete_voice", "voices", False, None),
        ("POST", "/v1/speech_to_text", "transcription", True, None),
        ("POST", "/v1/video_generation", "video", True, None),
        ("GET", "/v1/query/video_generation", "video.query", False, None),
        ("POST", "/v2/video_generation", "video", True, None),
        ("GET", "/v2/query/video_generation", "video.query", False, None),
        ("POST", "/v1/image_generation", "image", True, None),
        ("POST", "/v1/music_generation", "music", True, None),
        ("POST", "/v1/lyrics_generation", "lyrics", True, None),
        ("POST", "/v1/music_cover_preprocess", "music", True, None),
        ("POST", "/v1/files", "files", False, None),
        ("POST", "/v1/files/upload", "files", False, None),
        ("GET", "/v1/files/list", "files", False, None),
        ("GET", "/v1/files/retrieve", "files", False, None),
        ("GET", "/v1/files/retrieve_content", "files", False, None),
        ("POST", "/v1/files/delete", "files", False, None),
        ("POST", "/v1/embeddings", "embeddings", True, None),
        ("GET", "/v1/token_plan/remains", "plan", False, None),
        ("POST", "/v1/coding_plan/search", "plan.search", True, None),
        ("POST", "/v1/coding_plan/vlm", "plan.vlm", True, None),
        ("POST", "/v1/agents/of/tomorrow", "unknown", True, None),
    ],
)
def test_every_endpoint_has_its_operation(method, path, operation, billable, dialect):
    route = MINIMAX.route(method, path)

    assert (route.operation, route.billable, route.dialect) == (operation, billable, dialect)


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/chat/completions", OPENAI_CHAT),
        ("/v1/models", OPENAI_CHAT),
        ("/v1/responses", OPENAI_RESPONSES),
        ("/anthropic/v1/messages", ANTHROPIC_MESSAGES),
        ("/v1/text/chatcompletion_v2", MINIMAX_NATIVE),
        ("/v1/t2a_v2", MINIMAX_NATIVE),
        ("/v1/unheard_of", MINIMAX_NATIVE),
    ],
)
def test_our_errors_come_in_the_envelope_of_the_path(path, dialect):
    assert MINIMAX.route("GET" if path.endswith("models") else "POST", path).error_dialect is dialect


AGAIN = ("yes", "yes", "provider")
ACCOUNT = ("no", "yes", "account")
CONTENT = ("no", "policy", "content")
CLIENT = ("no", "no", "client")
CHOICE = ("no", "policy", "client")


@pytest.mark.parametrize(
    ("code", "error_class", "remedy"),
    [
        ("1000", "server_error", AGAIN),
        ("1001", "timeout", AGAIN),
        ("1002", "rate_limit", AGAIN),
        ("1004", "auth", ACCOUNT),
        ("1008", "billing", ACCOUNT),
        ("1013", "server_error", AGAIN),
        ("1024", "server_error", AGAIN),
        ("1026", "content_filter", CONTENT),
        ("1027", "content_filter", CONTENT),
        ("1028", "quota_exhausted", ACCOUNT),
        ("1030", "quota_exhausted", ACCOUNT),
        ("1033", "server_error", AGAIN),
        ("1039", "rate_limit", AGAIN),
        ("1041", "rate_limit", AGAIN),
        ("1042", "invalid_request", CLIENT),
        ("1043", "invalid_request", CLIENT),
        ("1044", "invalid_request", CLIENT),
        ("2013", "invalid_request", CLIENT),
        ("20132", "invalid_request", CLIENT),
        ("2037", "invalid_request", CLIENT),
        ("2038", "invalid_request", CLIENT),
        ("2039", "invalid_request", CLIENT),
        ("2042", "permission", CLIENT),
        ("2045", "rate_limit", AGAIN),
        ("2048", "invalid_request", CLIENT),
        ("2049", "auth", ACCOUNT),
        ("2056", "quota_exhausted", ACCOUNT),
        ("2061", "permission", ACCOUNT),
        ("2062", "rate_limit", AGAIN),
        ("2064", "overloaded", AGAIN),
        ("2201", "invalid_request", CLIENT),
        ("2205", "invalid_request", CLIENT),
    ],
)
def test_a_code_means_the_same_under_every_status(code, error_class, remedy):
    for status in (200, 400, 429, 500):
        assert judged(code, "whatever (of it)", status, "api_error") == (error_class, *remedy)
    assert judged(code, in_stream=True) == (error_class, "no", "no", remedy[2])


@pytest.mark.parametrize(
    ("message", "error_class"),
    [
        ("invalid params, context window exceeds limit (2013)", "context_length"),
        ("invalid params, prompt is too long", "context_length"),
        ("invalid params, unknown model 'minimax-x9' (2013)", "model_not_found"),
        ("invalid params, media exceeds size limit", "request_too_large"),
        ("invalid params, tool call result does not follow tool call (2013)", "invalid_request"),
        ("invalid params, invalid thinking.type", "invalid_request"),
    ],
)
def test_of_2013_the_text_tells_what_is_wrong(message, error_class):
    assert judged("2013", message, 400, "bad_request_error")[0] == error_class


@pytest.mark.parametrize(
    ("status", "type_", "error_class"),
    [
        (401, "authorized_error", "auth"),
        (402, "insufficient_balance_error", "billing"),
        (500, "insufficient_balance_error", "billing"),
        (422, "unprocessable_entity_error", "content_filter"),
        (429, "rate_limit_error", "rate_limit"),
        (500, "server_error", "server_error"),
        (503, None, "overloaded"),
        (529, "overloaded_error", "overloaded"),
        (413, None, "request_too_large"),
        (408, None, "timeout"),
        (200, None, "unknown"),
    ],
)
def test_without_a_known_code_type_and_status_decide(status, type_, error_class):
    for code in (None, "9999"):
        assert judged(code, "", status, type_)[0] == error_class


def test_the_region_of_a_host_decides_the_currency():
    for host in ("api.minimaxi.com", "api-bj.minimaxi.com", "api.minimax.cn", "api.minimax.chat"):
        assert MINIMAX.currencies[host] == "CNY"
    for host in ("api.minimax.io", "api-uw.minimax.io", "api.minimaxi.chat"):
        assert host not in MINIMAX.currencies
    assert MINIMAX.base_urls == {"minimax": "https://api.minimax.io", "minimax-cn": "https://api.minimaxi.com"}


def test_usage_is_asked_for_on_the_openai_dialect_only_and_nulls_are_its_own():
    assert MINIMAX.injects_usage("/v1/chat/completions", "")
    assert not MINIMAX.injects_usage("/v1/text/chatcompletion_v2", "")
    assert MINIMAX.keeps_null_usage


def test_one_key_header_serves_all_dialects():
    for path in ("/v1/chat/completions", "/anthropic/v1/messages", "/v1/t2a_v2"):
        assert MINIMAX.credential(path, "sk-api-1") == ("authorization", "Bearer sk-api-1")


def test_a_plan_s_key_says_that_a_subscription_pays():
    assert MINIMAX.billing(b"sk-cp-1") == "subscription"
    assert MINIMAX.billing(b"sk-api-1") == MINIMAX.billing(None) == ""
