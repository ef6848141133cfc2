"""How the proxy speaks when an error is its own, as far as several dialects say it alike."""

import msgspec

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def own_words(message: str) -> str:
    """The message with the name of who speaks, so that nobody looks for the fault at the provider."""
    return message if "taximeter" in message.lower() else f"Taximeter: {message}"


def openai_error_body(status: int, code: str, message: str, call_id: str) -> bytes:
    """OpenAI's envelope. The SDKs take `message`, `type`, `param` and `code` from it."""
    kind = _OPENAI_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": own_words(message), "type": kind, "param": None, "code": code}
    return msgspec.json.encode({"error": error, "request_id": call_id})
