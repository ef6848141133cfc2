"""OpenAI chat completions, and the many servers that speak them.

What:
    Requests and answers of `POST /v1/chat/completions`, whole and streamed, as OpenAI, Azure, DeepSeek, OpenRouter,
    LLM.API, Gemini's compatible endpoint, MiniMax, vLLM, Groq and others send them.

Config:
    None. The provider decides on which paths this dialect is spoken.

Example:
    `OPENAI_CHAT.read_request(b'{"model":"gpt-5","stream":true}')` gives the facts of a streamed call, and
    `OPENAI_CHAT.reader(AnswerHead(status=200, content_type="text/event-stream"))` reads its answer.

Source:
    The provider fact sheets, sections 1 and 3 to 8; MiniMax sections 3 and 9; type definitions of openai 3.57.
"""

from proxy.core.answer import MAX_BODY_BYTES
from proxy.core.chat import ChatReader, read_chat_request
from proxy.core.facts import AnswerHead, RequestFacts
from proxy.core.own_error import openai_error_body


class OpenAIChat:
    """The dialect `openai.chat`."""

    name = "openai.chat"

    def read_request(self, body: bytes) -> RequestFacts:
        """Facts of a request body (decoded); never raises."""
        return read_chat_request(body)

    def reader(self, head: AnswerHead, max_bytes: int = MAX_BODY_BYTES) -> ChatReader:
        """A fresh reader for one answer; a whole body longer than `max_bytes` is given up."""
        return ChatReader(head, max_bytes)

    def error_body(self, status: int, code: str, message: str, call_id: str) -> bytes:
        """OpenAI's envelope. The SDKs take `message`, `type`, `param` and `code` from it."""
        return openai_error_body(status, code, message, call_id)


OPENAI_CHAT = OpenAIChat()
