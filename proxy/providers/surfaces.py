"""The two API surfaces that several providers share: OpenAI's and Anthropic's, path by path.

Free is what costs nothing by the provider's own word: lists, single objects, counts, status polls, files, and the
making of a batch or of a session (they are billed by what comes out). A poll repeats the usage of a call that was made
before: billing it would bill that call twice.

Source: endpoint lists of the official Python SDKs (openai 3.54, anthropic 2.12).
"""

from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.dialects.openai_responses import OPENAI_RESPONSES
from proxy.providers.routing import Shape

OPENAI_SURFACE: tuple[Shape, ...] = (
    Shape("POST", "chat/completions", "chat", OPENAI_CHAT),
    # Stored completions: listed, read, renamed, removed.
    Shape("GET", "chat/completions", "chat.stored", free=True),
    Shape("*", "chat/completions/*", "chat.stored", free=True),
    Shape("GET", "chat/completions/*/messages", "chat.stored", free=True),
    # The ancestor of chat: other content, but the same usage, ids and errors.
    Shape("POST", "completions", "completion", OPENAI_CHAT),
    Shape("POST", "responses", "chat", OPENAI_RESPONSES),
    Shape("POST", "responses/compact", "chat", OPENAI_RESPONSES),
    Shape("POST", "responses/input_tokens", "count_tokens", OPENAI_RESPONSES, free=True),
    Shape("*", "responses/*", "chat.stored", free=True, error_dialect=OPENAI_RESPONSES),
    Shape("POST", "responses/*/cancel", "chat.stored", free=True, error_dialect=OPENAI_RESPONSES),
    Shape("GET", "responses/*/input_items", "chat.stored", free=True, error_dialect=OPENAI_RESPONSES),
    Shape("*", "conversations", "conversations", free=True),
    Shape("*", "conversations/*", "conversations", free=True),
    Shape("*", "conversations/*/items", "conversations", free=True),
    Shape("*", "conversations/*/items/*", "conversations", free=True),
    Shape("POST", "embeddings", "embeddings"),
    Shape("POST", "moderations", "moderation"),
    Shape("POST", "images/generations", "image"),
    Shape("POST", "images/edits", "image"),
    Shape("POST", "images/variations", "image"),
    Shape("POST", "audio/speech", "speech"),
    Shape("POST", "audio/transcriptions", "transcription"),
    Shape("POST", "audio/translations", "transcription"),
    Shape("POST", "videos", "video"),
    Shape("POST", "videos/*/remix", "video"),
    Shape("GET", "videos", "video.query", free=True),
    Shape("*", "videos/*", "video.query", free=True),
    Shape("GET", "videos/*/content", "video.query", free=True),
    Shape("GET", "realtime", "realtime"),
    Shape("POST", "realtime/calls", "realtime"),
    Shape("POST", "realtime/sessions", "realtime.session", free=True),
    Shape("POST", "realtime/client_secrets", "realtime.session", free=True),
    Shape("POST", "realtime/transcription_sessions", "realtime.session", free=True),
    Shape("*", "batches", "batch", free=True),
    Shape("GET", "batches/*", "batch", free=True),
    Shape("POST", "batches/*/cancel", "batch", free=True),
    Shape("*", "files", "files", free=True),
    Shape("*", "files/*", "files", free=True),
    Shape("GET", "files/*/content", "files", free=True),
    Shape("POST", "uploads", "files", free=True),
    Shape("POST", "uploads/*/parts", "files", free=True),
    Shape("POST", "uploads/*/complete", "files", free=True),
    Shape("POST", "uploads/*/cancel", "files", free=True),
    Shape("GET", "models", "models", free=True),
    Shape("*", "models/*", "models", free=True),
)
"""Paths of OpenAI's API. The calls that poll or list carry no dialect: nothing of theirs is to be added up."""

ANTHROPIC_SURFACE: tuple[Shape, ...] = (
    Shape("POST", "v1/messages", "chat", ANTHROPIC_MESSAGES),
    Shape("POST", "v1/messages/count_tokens", "count_tokens", ANTHROPIC_MESSAGES, free=True),
    Shape("*", "v1/messages/batches", "batch", free=True, error_dialect=ANTHROPIC_MESSAGES),
    Shape("*", "v1/messages/batches/*", "batch", free=True, error_dialect=ANTHROPIC_MESSAGES),
    Shape("POST", "v1/messages/batches/*/cancel", "batch", free=True, error_dialect=ANTHROPIC_MESSAGES),
    # The bill of a batch is in its results.
    Shape("GET", "v1/messages/batches/*/results", "batch.results", error_dialect=ANTHROPIC_MESSAGES),
    # Providers of another kind put all of it under this prefix (MiniMax, DeepSeek, Azure).
    Shape("GET", "anthropic/v1/models", "models", free=True, error_dialect=ANTHROPIC_MESSAGES),
    Shape("GET", "anthropic/v1/models/*", "models", free=True, error_dialect=ANTHROPIC_MESSAGES),
)
"""Paths of Anthropic's API that are not also OpenAI's. They begin with `v1`: a bare `messages` is OpenAI's threads."""
