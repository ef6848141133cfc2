"""Sinks and prices for tests of the recorder."""

from collections.abc import Mapping
from decimal import Decimal

from exporters.recorder.ports import Batch, SinkUnavailableError
from proxy.core.pricing import Priced
from proxy.core.record import AttemptRecord, CallRecord


class MemorySink:
    """Keeps call ids by token, as a store does that takes no token twice; is down, or breaks, when a test says so."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.down = False
        self.broken = False
        self.batches: list[Batch] = []
        self.taken: dict[str, list[str]] = {}
        self.checks = 0
        self.closed = False

    @property
    def calls(self) -> list[str]:
        """Ids of all calls that it has, in order."""
        return [call_id for ids in self.taken.values() for call_id in ids]

    def check(self) -> None:
        """Count, and be down or not."""
        self.checks += 1
        if self.down:
            raise SinkUnavailableError("down")

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """Take a batch."""
        self.batches.append(batch)
        if self.down:
            raise SinkUnavailableError("down")
        if self.broken:
            raise ZeroDivisionError("broken")
        self.taken.setdefault(batch.token, [priced.call.call_id for priced in batch.calls])
        return {"calls": len(batch.calls)}

    def close(self) -> None:
        """Note it."""
        self.closed = True


class FixedPrices:
    """Everything costs one cent, but a model that is called `unknown`."""

    def price(self, attempt: AttemptRecord, call: CallRecord) -> Priced:
        """One cent."""
        if attempt.model == "unknown":
            return Priced(amount=None, currency="USD", reasons=("no_price",))
        if attempt.model == "explodes":
            raise ArithmeticError("no such price list")
        return Priced(amount=Decimal("0.01"), currency="USD", cost_source="book", price_id="fixed")
