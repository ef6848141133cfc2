"""What an outcome is made from, and what it is."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from policies.routes_compiled import EndSeen, OutcomeClass
from proxy.core.errors import Answer, ErrorFacts, Fault
from proxy.core.facts import ResponseFacts

Phase = Literal["connect", "request", "first_byte", "head", "idle", "answer", "shutdown", "budget", "hedge"]
"""How far an attempt had got when the way to the provider failed it: `proxy.upstream.errors` says what each is."""
Word = Literal["ok", "error", "broken", "cancelled", "interrupted"]
"""The outcome as rows show it: `broken` began well, `interrupted` we ended ourselves."""

_NO_FACTS = ResponseFacts()
_MARKED_ENDS = frozenset({"done_marker", "message_stop", "eof"})


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong on the way to a provider."""

    phase: Phase
    timed_out: bool = False
    """Whether a time limit of ours ended it."""
    message: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was seen of one attempt that has ended."""

    provider: str
    """Name of the configured provider."""
    model: str = ""
    """The model that was asked for."""
    dialect: str = ""
    """The dialect that read the answer; empty where none knows its path."""
    status: int = 0
    """HTTP status; 0 where no head came."""
    headers: Mapping[str, str] = {}
    """Response headers by names in lower case; those that rules name are enough (`Classifier.headers`)."""
    facts: ResponseFacts = _NO_FACTS
    body: bytes = b""
    """A whole body, decoded, or of a stream the data of the event that stated an error, else of the last event. It is
    only looked at where no dialect was, and by rules of the operator's (`Classifier.reads_bodies`)."""
    answer_text: str | None = None
    """The text of the answer; None where nobody put it together (`Classifier.reads_answer_text`)."""
    saw_content: bool | None = None
    """Whether any content came; None where nobody looked."""
    content_sent: bool = False
    """Whether the app has got any of it: then nothing can be tried again."""
    trouble: Trouble | None = None
    client_left: bool = False
    """Whether the app went away before it had its answer."""
    stream_asked: bool = False
    schema_asked: bool = False
    first_byte_ns: int | None = None
    """From the start of the attempt; likewise the others."""
    first_content_ns: int | None = None
    duration_ns: int | None = None

    @property
    def end(self) -> EndSeen | None:
        """How the answer ended; None where there was none, or nobody looked."""
        if self.trouble is not None and self.status:
            return "stalled" if self.trouble.timed_out else "broken"
        facts = self.facts
        if self.is_empty:
            return "empty"
        return facts.stream_end

    @property
    def is_empty(self) -> bool:
        """Whether a good answer came to its end with nothing in it: no content, no reason for the end, no output.

        An answer that states a reason is not empty, however short: models do finish without a word.
        """
        facts = self.facts
        if not 200 <= self.status < 300 or facts.error is not None or self.trouble is not None:
            return False
        if facts.unread == "empty":
            return True
        ended = facts.stream_end in _MARKED_ENDS
        return ended and self.saw_content is False and facts.finish_reason is None and not facts.usage.output_tokens


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt came to, which rule says so, and what may be done about it."""

    outcome: OutcomeClass
    rule: str
    """`rule:NAME` of the operator's, or a built-in one: `minimax:stated`, `stream:truncated`, `way:connect` ..."""
    word: Word = "ok"
    retry_same: Answer = "no"
    fallback: Answer = "no"
    fault: Fault | None = None
    """None for a good outcome."""
    final: bool = False
    """Nothing may be tried again, whatever a rule says: the app has got content, or left, or we ended it."""
    billed: bool | None = None
    """Whether the provider takes money for it: True where it reports usage or sent content, False where it did nothing
    of what it was asked; None where nobody can know."""
    error: ErrorFacts | None = None
    """For the row; its class is `outcome`."""
