"""PURE: one wire format per file, what the bytes of a provider mean. Dialects do not know each other."""

from proxy.core.facts import Dialect
from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.dialects.gemini_generate import GEMINI_GENERATE
from proxy.dialects.minimax_native import MINIMAX_NATIVE
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.dialects.openai_responses import OPENAI_RESPONSES

DIALECTS: tuple[Dialect, ...] = (
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    ANTHROPIC_MESSAGES,
    MINIMAX_NATIVE,
    GEMINI_GENERATE,
)
