"""The sink of metrics. What is measured is in `measures.py`, how it is added up in `totals.py`.

Batches come each second, metrics go out once a minute: in between the figures are kept on the disk. Cumulative is the
default for two reasons: the specification has it so, and a request that is sent twice is harmless then, as it says the
same total again.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping

import structlog
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

from exporters.otlp.measures import Measured, measured
from exporters.otlp.points import metrics_data
from exporters.otlp.resource import resource
from exporters.otlp.sending import Answer, Transport
from exporters.otlp.totals import Series, Totals
from exporters.otlp.transport import transport_to
from exporters.recorder.ports import Batch, SinkUnavailableError
from proxy.core.semconv import DEFAULT_CONVENTION, Convention
from proxy.settings import OtlpSettings, OtlpTarget, Settings

FILE_NAME = "otlp-metrics.json"
SERIES_A_REQUEST = 500
_LOG = structlog.get_logger()


class OtlpMetrics:
    """Metrics to one receiver.

    Args:
        settings: The data folder, and the version of the conventions.
        otlp: Temporality, interval, and who sends.
        target: Where to.
    """

    name = "otlp-metrics"

    def __init__(self, settings: Settings, otlp: OtlpSettings, target: OtlpTarget) -> None:
        self._settings = settings
        self._otlp = otlp
        self._convention: Convention = "genai-dev" if settings.semconv == "genai-dev" else DEFAULT_CONVENTION
        self._transport: Transport = transport_to(target)
        self._totals: Totals | None = None
        self._due_s = float("-inf")
        self._unsent = False
        self._works = False
        self._last_at_ns = 0
        self._counts: Counter[str] = Counter()
        self._last_said = ""

    def check(self) -> None:
        """See that somebody listens there; send what is due. Raises SinkUnavailableError, OSError."""
        self._transport.check()
        self._send_if_due()

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """Add up a batch; send what is due. Raises SinkUnavailableError, OSError."""
        totals = self._loaded()
        crowded = totals.add(batch.token, self._measured(batch))
        totals.save()
        self._unsent = True
        self._counts["crowded_figures"] += crowded
        self._send_if_due()
        counts, self._counts = self._counts, Counter()
        return +(counts + Counter(calls=len(batch.calls)))

    def close(self) -> None:
        """Send what was not sent yet, if the receiver answered just now; let go of the connection."""
        try:
            if self._works and self._unsent:
                self._send()
        except (SinkUnavailableError, OSError) as error:
            # Nothing is lost: the totals are on the disk, and go out after the next start.
            _LOG.info("the last metrics wait for the next start", sink=self.name, error=str(error))
        finally:
            self._transport.close()

    def _measured(self, batch: Batch) -> Iterator[Measured]:
        for priced in batch.calls:
            yield from measured(priced, self._convention)

    def _loaded(self) -> Totals:
        if self._totals is None:
            file = self._settings.run_dir / FILE_NAME
            self._totals = Totals(file, self._otlp.temporality, self._convention)
        return self._totals

    def _send_if_due(self) -> None:
        if self._loaded().series and time.monotonic() >= self._due_s:
            self._send()
            self._due_s = time.monotonic() + self._otlp.metrics_interval_s

    def _send(self) -> None:
        """Send all series: cumulative ones even where nothing has changed, or a receiver takes them for gone."""
        totals = self._loaded()
        self._works = False
        at_ns = self._last_at_ns = max(time.time_ns(), self._last_at_ns + 1)
        series = totals.series
        who = resource(self._settings, self._otlp.resource)
        for first in range(0, len(series), SERIES_A_REQUEST):
            some = series[first : first + SERIES_A_REQUEST]
            latest_ns = max(at_ns, *(one.since_ns + 1 for one in some))
            data = metrics_data(
                some, at_ns=latest_ns, temporality=totals.temporality, resource=who, convention=self._convention
            )
            self._judge(self._transport.send(encode_metrics(data)), some)
            totals.sent(some, latest_ns)
        totals.save()
        self._unsent = False
        self._works = True

    def _judge(self, answer: Answer, some: list[Series]) -> None:
        """Count what became of a request; what the receiver will not have is not held back for it."""
        if answer.verdict == "doubtful":
            raise SinkUnavailableError(": ".join(filter(None, ["the receiver failed", answer.reason, answer.said])))
        if answer.verdict == "taken":
            self._counts.update(points=len(some) - answer.rejected, rejected_points=answer.rejected)
        else:
            self._counts[f"refused_{answer.reason}"] += len(some)
        said = f"{answer.reason} {answer.said}".strip()
        if (answer.rejected or answer.verdict != "taken") and said != self._last_said:
            self._last_said = said
            _LOG.warning("metrics were not taken", sink=self.name, said=said)
