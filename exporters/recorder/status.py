"""How the recorder is doing, for health, metrics and `doctor`: plain values, true at the last look at the journal."""

from typing import Literal

import msgspec


class SinkStatus(msgspec.Struct, kw_only=True):
    """How one sink is doing."""

    reachable: bool | None = None
    """Whether it took the last batch; None before the first."""
    lag_s: float = 0.0
    """How long the oldest segment that it does not have has been waiting, since it was sealed."""
    waiting_segments: int = 0
    delivered_segments: int = 0
    """Since this recorder started."""
    failures: int = 0
    """Failed tries in a row."""
    retry_at_ns: int | None = None
    """When the next try is due, Unix time; None when the sink is not failing."""
    last_delivered_ns: int | None = None
    """Unix time in nanoseconds."""
    last_error: str = ""
    """Of the last failure, whether or not it works again."""
    last_error_ns: int | None = None
    trouble: str = ""
    """What is wrong with what it makes of the batches that it takes; empty where nothing is."""
    counts: dict[str, int] = {}
    """Everything it has counted, over all restarts: `calls`, `attempts`, `unpriced`, `refused` ..."""


class SelfCheckStatus(msgspec.Struct, kw_only=True):
    """What the nightly self-check of the store has found over all days that are known, not only in its last run."""

    ran_at_ns: int | None = None
    """When it last came to its end, Unix time; None before the first."""
    ok: bool | None = None
    """Whether every day is as it must be; None before the first, or when the last one could not be done."""
    days: int = 0
    """Days that the last run has looked at."""
    doubled_calls: int = 0
    """Rows of `calls` beyond one for each call id."""
    doubled_attempts: int = 0
    """Rows of `attempts` beyond one for each call id and attempt."""
    drifted_days: int = 0
    """Finished days of a roll-up whose sums are not those of the rows it was made of."""
    findings: list[str] = []
    """Every day with something wrong, in words; the first twenty."""
    last_error: str = ""
    """Why the last run could not be done; empty when it was."""


class RecorderStatus(msgspec.Struct, kw_only=True):
    """How the recorder is doing. It is changed in place by the recorder and read by anybody on the same loop."""

    phase: Literal["starting", "waiting", "running", "draining", "stopped"] = "starting"
    """`waiting`: another recorder still holds the data folder."""
    looked_at_ns: int = 0
    """Unix time of the last look at the journal, in nanoseconds."""
    instances: int = 0
    """Processes with a journal, dead ones with lines left too."""
    journal_segments: int = 0
    """Sealed segments that not every sink has."""
    journal_bytes: int = 0
    journal_oldest_s: float = 0.0
    """The largest lag of any sink."""
    kept_bytes: int = 0
    """Shipped segments that are kept."""
    open_calls: int = 0
    """Calls under way, as far as sealed segments tell."""
    interrupted_calls: int = 0
    """Calls of dead processes that were closed since this recorder started."""
    losses: dict[str, int] = {}
    """Everything lost, by reason, over all restarts."""
    losses_at_ns: dict[str, int] = {}
    """Reason -> when this recorder last saw its count rise, Unix time."""
    quarantine: dict[str, int] = {}
    """Lines in quarantine, by reason."""
    sinks: dict[str, SinkStatus] = {}
    last_error: str = ""
    """Of the last trouble with the journal itself."""
    last_error_ns: int | None = None
    self_check: SelfCheckStatus = msgspec.field(default_factory=SelfCheckStatus)
