"""Settings of an OTLP sink for a receiver of the tests, and batches for it."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from exporters.recorder.ports import Batch, PricedCall
from proxy.core.pricing import Priced
from proxy.core.record import CallRecord
from proxy.settings import Listen, OtlpSettings, OtlpTarget, Settings, SinkSettings, StoreSettings
from tests.fakes.otlp_receivers import Receiver
from tests.fakes.records import call


def target(receiver: Receiver, signal: str = "traces", **more: Any) -> OtlpTarget:
    """The target of a signal at a receiver; `more` are fields of it."""
    path = f"/v1/{signal}" if receiver.protocol == "http/protobuf" else ""
    fields: dict[str, Any] = {"endpoint": receiver.url + path, "protocol": receiver.protocol, "timeout_s": 5.0}
    return OtlpTarget(**fields | more)


def otlp(**more: Any) -> OtlpSettings:
    """What there is to say beside the targets."""
    return OtlpSettings(**{"enabled_by": "a test"} | more)


def settings(data_dir: Path, **more: Any) -> Settings:
    """Settings of a data folder; `more` are fields of them."""
    fields: dict[str, Any] = {
        "listen": Listen("127.0.0.1", 0),
        "admin": Listen("127.0.0.1", 0),
        "store": StoreSettings(url="http://127.0.0.1:1", user="", password=""),
        "data_dir": data_dir,
        "workers": 1,
        "providers": (),
        "sinks": SinkSettings(),
    }
    return Settings(**fields | more)


def priced(record: CallRecord, cost: str | None = "0.01", currency: str = "USD") -> PricedCall:
    """A call each of whose attempts costs that."""
    amount = None if cost is None else Decimal(cost)
    price = Priced(amount=amount, currency=currency, cost_source="book", price_id="p-1")
    return PricedCall(record, (price,) * len(record.attempts))


def batch(*calls: CallRecord | PricedCall, token: str = "t-1", number: int = 1) -> Batch:
    """A batch of calls; one good call where none is given."""
    made = [one if isinstance(one, PricedCall) else priced(one) for one in calls or (call(),)]
    return Batch(instance="worker-0", number=number, token=token, calls=made)
