"""PURE: one upstream per file: where it is, how it is asked, which dialect is on which path, what its errors mean.

A new provider is a file here, a line in `PROVIDERS` and a test file.
"""

from proxy.providers.anthropic import ANTHROPIC
from proxy.providers.anthropic_compatible import ANTHROPIC_COMPATIBLE
from proxy.providers.azure import AZURE
from proxy.providers.base import Provider
from proxy.providers.deepseek import DEEPSEEK
from proxy.providers.gemini import GEMINI
from proxy.providers.llmapi import LLMAPI
from proxy.providers.minimax import MINIMAX
from proxy.providers.openai import OPENAI
from proxy.providers.openai_compatible import OPENAI_COMPATIBLE
from proxy.providers.openrouter import OPENROUTER

PROVIDERS: tuple[Provider, ...] = (
    MINIMAX,
    OPENAI,
    ANTHROPIC,
    AZURE,
    GEMINI,
    DEEPSEEK,
    OPENROUTER,
    LLMAPI,
    OPENAI_COMPATIBLE,
    ANTHROPIC_COMPATIBLE,
)
"""Every kind of provider, in the order in which lists show them."""

_BY_KIND = {provider.kind: provider for provider in PROVIDERS}


def find_provider(kind: str) -> Provider:
    """The provider of that kind.

    Raises:
        KeyError: there is none; the config has checked it before.

    """
    return _BY_KIND[kind]
