"""What the reasons mean that providers give for the end of an answer.

Source: the provider fact sheets, sections 1 to 8; MiniMax sections 3 and 5; the type definitions of the official SDKs.
"""

from proxy.core.facts import FinishClass

_REASONS: dict[FinishClass, str] = {
    "stop": "stop end_turn stop_sequence eos eos_token completed",
    "length": "length max_tokens max_output_tokens model_length model_context_window_exceeded max_messages",
    "tool": "tool_calls tool_use function_call tool_call",
    "content_filter": "content_filter safety recitation blocklist prohibited_content spii language sensitive "
    "image_safety image_prohibited_content image_recitation model_armor",
    "refusal": "refusal",
    "pause": "pause_turn compaction",
    "error": "error failed abort other insufficient_system_resource malformed_function_call malformed_response "
    "unexpected_tool_call too_many_tool_calls missing_thought_signature no_image image_other network_error",
}
_CLASSES: dict[str, FinishClass] = {
    reason: finish_class for finish_class, reasons in _REASONS.items() for reason in reasons.split()
}


def finish_class_of(reason: str | None) -> FinishClass | None:
    """The class of a reason in any dialect's words; None for no reason and for one that nobody described."""
    return _CLASSES.get(reason.lower()) if reason else None
