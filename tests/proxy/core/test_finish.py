import pytest

from proxy.core.finish import finish_class_of


@pytest.mark.parametrize(
    ("reason", "finish_class"),
    [
        ("stop", "stop"),
        ("end_turn", "stop"),
        ("STOP", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_calls", "tool"),
        ("function_call", "tool"),
        ("tool_use", "tool"),
        ("content_filter", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("refusal", "refusal"),
        ("pause_turn", "pause"),
        ("error", "error"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("something_new", None),
        ("", None),
        (None, None),
    ],
)
def test_a_reason_has_one_class_in_every_dialects_words(reason, finish_class):
    assert finish_class_of(reason) == finish_class
