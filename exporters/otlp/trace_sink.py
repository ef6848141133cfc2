"""The sink of spans. What it sends is in `spans.py`, what answers mean in `sending.py`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import structlog
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

from exporters.otlp.resource import resource
from exporters.otlp.sending import Answer, Transport
from exporters.otlp.spans import OddIdsError, spans
from exporters.otlp.transport import transport_to
from exporters.parts import Parts
from exporters.recorder.ports import Batch, PricedCall, SinkUnavailableError
from proxy.core.semconv import DEFAULT_CONVENTION, Convention
from proxy.settings import OtlpSettings, OtlpTarget, Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

CALLS_A_REQUEST = 250
"""Some 500 spans, as the SDK's own processor sends at once; about 0.7 MB, where 4 MiB is the usual limit."""
MAX_REQUEST_BYTES = 3 * 1024 * 1024
DOUBTS = 60
"""So often, over some seven minutes, a receiver may fail in a way that may be its own fault or that of the data."""
MAX_CUTS = 64
"""Requests that a batch may cost beyond its own until everything that is refused in it is found."""
_LOG = structlog.get_logger()


class OtlpTraces:
    """Spans to one receiver.

    Args:
        settings: The data folder, and the version of the conventions.
        otlp: Which traces, and who sends.
        target: Where to.
    """

    name = "otlp-traces"

    def __init__(self, settings: Settings, otlp: OtlpSettings, target: OtlpTarget) -> None:
        self._settings = settings
        self._otlp = otlp
        self._convention: Convention = "genai-dev" if settings.semconv == "genai-dev" else DEFAULT_CONVENTION
        self._transport: Transport = transport_to(target)
        self._who: Resource | None = None
        self._parts = Parts()
        self._doubts: tuple[str, int] = ("", 0)
        """Token of the batch that somebody failed on, and how often."""
        self._last_said = ""

    def check(self) -> None:
        """See that somebody listens there. Raises SinkUnavailableError."""
        self._transport.check()

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """Send the spans of a batch. Raises SinkUnavailableError, OSError."""
        calls = [priced for priced in batch.calls if priced.call.trace.sampled or self._otlp.unsampled_too]
        parts = (calls[first : first + CALLS_A_REQUEST] for first in range(0, len(calls), CALLS_A_REQUEST))
        counts = self._parts.send(batch.token, parts, lambda _, part: self._send(batch.token, part))
        return +(counts + Counter(unsampled=len(batch.calls) - len(calls)))

    def close(self) -> None:
        """Let go of the connection."""
        self._transport.close()

    def _send(self, token: str, calls: Sequence[PricedCall]) -> Counter[str]:
        if self._who is None:
            self._who = resource(self._settings, self._otlp.resource)
        counts: Counter[str] = Counter()
        made: list[ReadableSpan] = []
        for priced in calls:
            try:
                made += spans(priced, self._who, self._convention)
            except OddIdsError:
                counts["refused_odd_ids"] += 1
        if made:
            self._send_spans(token, made, counts, _Budget(MAX_CUTS))
        return counts

    def _send_spans(self, token: str, made: Sequence[ReadableSpan], counts: Counter[str], budget: "_Budget") -> None:
        """Send spans; what is refused is cut in two until it is known what is to blame, or the budget is spent."""
        request = encode_spans(made)
        middle = len(made) // 2
        if middle and request.ByteSize() > MAX_REQUEST_BYTES:
            self._send_spans(token, made[:middle], counts, budget)
            self._send_spans(token, made[middle:], counts, budget)
            return
        answer = self._transport.send(request)
        if answer.verdict == "taken":
            counts.update(spans=len(made) - answer.rejected, rejected_spans=answer.rejected)
            if answer.rejected:
                self._tell("taken in part", answer)
        elif answer.verdict == "no_service":
            raise SinkUnavailableError(_worded("nobody takes spans there", answer))
        elif answer.verdict == "doubtful" and not self._believed(token):
            raise SinkUnavailableError(_worded("the receiver failed", answer))
        elif middle and budget.take(2):
            self._send_spans(token, made[:middle], counts, budget)
            self._send_spans(token, made[middle:], counts, budget)
        else:
            counts[f"refused_{answer.reason}"] += len(made)
            self._tell("refused", answer)

    def _believed(self, token: str) -> bool:
        """Whether a receiver that fails on a batch again and again is to be believed that it is the batch."""
        known, doubts = self._doubts
        self._doubts = (token, doubts + 1 if known == token else 1)
        return self._doubts[1] > DOUBTS

    def _tell(self, what: str, answer: Answer) -> None:
        """Log what a receiver says of spans that it does not take, once."""
        said = _worded(what, answer)
        if said != self._last_said:
            self._last_said = said
            _LOG.warning("spans were not taken", sink=self.name, said=said)


class _Budget:
    """So many requests and no more."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, number: int) -> bool:
        """Whether so many are left; they are taken then."""
        if self._left < number:
            return False
        self._left -= number
        return True


def _worded(said: str, answer: Answer) -> str:
    return ": ".join(filter(None, [said, answer.reason, answer.said]))
