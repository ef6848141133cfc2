import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.minimax_native import MINIMAX_NATIVE
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.routing import PathTable, Shape, asks_on_chat, is_openai_chat, segments_of

TABLE = PathTable(
    [
        Shape("POST", "completions", "completion"),
        Shape("POST", "chat/completions", "chat", OPENAI_CHAT),
        Shape("GET", "models", "models", free=True),
        Shape("*", "models/*", "one model", free=True),
        Shape("GET", "models/*/card", "card"),
        Shape("POST", "native", "native", MINIMAX_NATIVE),
        Shape("POST", "native/list", "list", error_dialect=MINIMAX_NATIVE),
        Shape("GET", "models", "never reached"),
    ],
    error_dialect=OPENAI_CHAT,
)
SEGMENTS = st.lists(st.text("abcdefgh-.%2F", min_size=1, max_size=8), max_size=4)


@given(SEGMENTS, st.sampled_from(["", "/", "//"]), st.sampled_from(["/", "//"]))
def test_a_path_is_known_by_its_ending_under_any_prefix(prefix, slash, between):
    path = "/" + between.join([*prefix, "chat", "completions"]) + slash

    assert TABLE("POST", path).operation == "chat"
    assert is_openai_chat(path)
    assert asks_on_chat(path, "")


@given(SEGMENTS.filter(lambda s: s[-2:] != ["chat", "completions"]))
def test_other_paths_are_not_chat(segments):
    path = "/" + "/".join(segments)

    assert not is_openai_chat(path)
    assert TABLE("POST", path).operation == "unknown"


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/completions", "completion"),
        ("GET", "/v1/completions", "unknown"),
        ("GET", "/models", "models"),
        ("HEAD", "/models", "models"),
        ("POST", "/models", "unknown"),
        ("DELETE", "/v1/models/ft:x", "one model"),
        ("GET", "/v1/models/a/card", "card"),
        ("GET", "/v1/models/a/b", "unknown"),
        ("OPTIONS", "/v1/chat/completions", "preflight"),
        ("GET", "/", "unknown"),
        ("GET", "", "unknown"),
        ("BREW", "/pot", "unknown"),
    ],
)
def test_the_longest_ending_with_its_method_decides(method, path, operation):
    assert TABLE(method, path).operation == operation


def test_only_what_is_marked_free_costs_nothing():
    assert not TABLE("GET", "/models").billable
    assert not TABLE("OPTIONS", "/native").billable
    assert TABLE("POST", "/native").billable
    assert TABLE("POST", "/something").billable


def test_our_errors_are_worded_by_the_paths_dialect_else_by_the_tables():
    assert TABLE("POST", "/native").error_dialect is MINIMAX_NATIVE
    assert TABLE("POST", "/native/list").error_dialect is MINIMAX_NATIVE
    assert TABLE("GET", "/models").error_dialect is OPENAI_CHAT
    assert TABLE("GET", "/unheard-of").error_dialect is OPENAI_CHAT


@given(st.text(max_size=40), st.text(max_size=6))
def test_every_path_has_a_route(path, method):
    assert TABLE(method, path).operation
    segments_of(path)
