"""Where a provider of another kind has what an app asked for: the same operation in the same dialect, on its own path.

Only what generates an answer is listed: nothing else is sent to another provider than the one that the app chose.

Source: base URLs in the providers' own API references, with the prefixes that their SDK examples use.
"""

from proxy.providers.routing import segments_of

_ENDINGS = {
    "openai.chat": "chat/completions",
    "openai.responses": "responses",
    "anthropic.messages": "v1/messages",
    "minimax.native": "text/chatcompletion_v2",
}
"""How a path of a dialect ends, wherever it is served."""

_PREFIXES: dict[tuple[str, str], str] = {
    ("openai", "openai.chat"): "/v1/",
    ("openai", "openai.responses"): "/v1/",
    ("openai_compatible", "openai.chat"): "/v1/",
    ("openai_compatible", "openai.responses"): "/v1/",
    ("openai_compatible", "anthropic.messages"): "/",
    ("azure", "openai.chat"): "/openai/v1/",
    ("azure", "openai.responses"): "/openai/v1/",
    ("azure", "anthropic.messages"): "/anthropic/",
    ("deepseek", "openai.chat"): "/v1/",
    ("deepseek", "anthropic.messages"): "/anthropic/",
    ("gemini", "openai.chat"): "/v1beta/openai/",
    ("llmapi", "openai.chat"): "/v1/",
    ("openrouter", "openai.chat"): "/api/v1/",
    ("openrouter", "openai.responses"): "/api/v1/",
    ("openrouter", "anthropic.messages"): "/api/",
    ("anthropic", "anthropic.messages"): "/",
    ("anthropic_compatible", "anthropic.messages"): "/",
    ("minimax", "openai.chat"): "/v1/",
    ("minimax", "openai.responses"): "/v1/",
    ("minimax", "anthropic.messages"): "/anthropic/",
    ("minimax", "minimax.native"): "/v1/",
}
"""Kind and dialect -> what stands before the ending."""


def path_at(kind: str, dialect: str, path: str, base_path: str = "") -> str | None:
    """The path of a dialect at a provider of a kind; None where it has none, or the path is no such call.

    Args:
        kind: Of the provider that is to answer.
        dialect: That the app speaks.
        path: As the app sent it, without the query.
        base_path: Of the provider's base URL; what it already holds of the path is not said twice.
    """
    ending = _ENDINGS.get(dialect)
    prefix = _PREFIXES.get((kind, dialect))
    if ending is None or prefix is None:
        return None
    last = ending.split("/")
    if segments_of(path)[-len(last) :] != last:
        return None
    segments, base = segments_of(prefix + ending), segments_of(base_path)
    for overlap in range(min(len(segments), len(base)), 0, -1):
        if base[-overlap:] == segments[:overlap]:
            segments = segments[overlap:]
            break
    return "/" + "/".join(segments)
