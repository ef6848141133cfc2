"""MiniMax's own chat, `POST /v1/text/chatcompletion_v2`, the role-play model M2-her included.

What:
    OpenAI-shaped bodies with MiniMax's additions: further roles (`user_system`, `group`, `sample_message_user`,
    `sample_message_ai`), zero placeholders for usage, a last frame that repeats the whole message, `base_resp` errors
    under HTTP 200, streams that end without a marker.

Config:
    None. The provider decides on which paths this dialect is spoken.

Example:
    An answer `{"choices":null,"usage":{"total_tokens":0},"base_resp":{"status_code":1008,...}}` under HTTP 200 reads as
    an error with code `1008` and without usage.

Source:
    MiniMax sections 3, 4 and 9.
"""

import msgspec

from proxy.core.answer import MAX_BODY_BYTES
from proxy.core.chat import ChatReader, read_chat_request
from proxy.core.facts import AnswerHead, RequestFacts
from proxy.core.own_error import own_words

_TYPES = {
    401: "authorized_error",
    402: "insufficient_balance_error",
    422: "unprocessable_entity_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_CODES = {401: 1004, 402: 1008, 408: 1001, 429: 1002, 504: 1001, 529: 2064}
"""MiniMax's own code for what a status says, see the table of its error codes."""

_INTERNAL, _BAD_PARAMS = 1000, 2013


class MiniMaxNative:
    """The dialect `minimax.native`."""

    name = "minimax.native"

    def read_request(self, body: bytes) -> RequestFacts:
        """Facts of a request body (decoded); never raises. Roles do not matter to it."""
        return read_chat_request(body)

    def reader(self, head: AnswerHead, max_bytes: int = MAX_BODY_BYTES) -> ChatReader:
        """A fresh reader for one answer; a whole body longer than `max_bytes` is given up."""
        return ChatReader(head, max_bytes)

    def error_body(self, status: int, code: str, message: str, call_id: str) -> bytes:
        """MiniMax's envelope for a real status, with the `base_resp` of its other envelope beside it.

        Native clients look at `base_resp.status_code` before anything else, often without a look at the status. Our own
        code stands in `error.code`, which MiniMax does not use.
        """
        known = _CODES.get(status, _INTERNAL if status >= 500 else _BAD_PARAMS)
        words = own_words(message)
        kind = _TYPES.get(status, "api_error" if status >= 500 else "bad_request_error")
        return msgspec.json.encode(
            {
                "type": "error",
                "error": {"type": kind, "message": f"{words} ({known})", "http_code": str(status), "code": code},
                "request_id": call_id,
                "base_resp": {"status_code": known, "status_msg": words},
            }
        )


MINIMAX_NATIVE = MiniMaxNative()
