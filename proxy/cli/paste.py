"""What an app's owner pastes to use a virtual key: the variables that the official SDKs read. Pure."""

import shlex
from collections.abc import Sequence

from proxy.prices.match import matches
from proxy.settings import ProviderSettings

_OPENAI = ("OPENAI_API_KEY", "OPENAI_BASE_URL")
_ANTHROPIC = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
_BY_KIND = {
    "anthropic": (*_ANTHROPIC, ""),
    "anthropic_compatible": (*_ANTHROPIC, ""),
    "azure": ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", ""),
    "deepseek": (*_OPENAI, ""),
    "gemini": (*_OPENAI, "/v1beta/openai"),
    "openrouter": (*_OPENAI, "/api/v1"),
}
"""Kind of provider -> variable of the key, variable of the base URL, and what follows the provider's name in it."""
_USUAL = (*_OPENAI, "/v1")


def paste_line(providers: Sequence[ProviderSettings], url: str, key: str, allowed: Sequence[str]) -> str:
    """A line for a shell, for the first provider that the key may call and that has a key of the operator's.

    Args:
        providers: All that are configured.
        url: Where apps reach the proxy.
        key: The virtual key.
        allowed: Names or globs of providers; none allows all.
    """
    fit = [one for one in providers if not allowed or any(matches(glob, one.name) for glob in allowed)]
    chosen = next((one for one in fit if one.has_key), fit[0] if fit else None)
    if chosen is None:
        return f"export OPENAI_API_KEY={shlex.quote(key)}"
    key_variable, url_variable, rest = _BY_KIND.get(chosen.kind, _USUAL)
    return f"export {key_variable}={shlex.quote(key)} {url_variable}={url}/{chosen.name}{rest}"
