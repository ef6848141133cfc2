"""Alerts: what calls and the recorder's own status say that somebody should hear of, to webhooks, Slack and email.

What: a sink like any other, with a cursor and a thread of its own. What it sees it remembers in `run/alerts.sqlite`: an
alert is told once for each counter, threshold and window, told again while it lasts (`repeat`), and told to be over.
Messages lie there until somebody took them. So a receiver that is away holds up neither segments nor calls: this sink
takes every batch, and tries what waits again, later and later, up to every five minutes.

Config: `alerts`: `channels.NAME` with `kind: webhook | slack | email`, `severity`; `group`, `repeat`, `link`.

Example: `alerts: {channels: {team: {kind: slack, url: "env:SLACK_HOOK_URL"}}}`

Source: Our own.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from exporters.alerts.alert import Kind, Sighting
from exporters.alerts.channel import Channel, Links
from exporters.alerts.channels import make_channel
from exporters.alerts.memory import Memory
from exporters.alerts.reading import CallReader
from exporters.recorder.ports import Batch, SinkUnavailableError
from exporters.webhook.post import RefusedError
from proxy.settings import AlertSettings

LOOK_S = 30.0
"""How often it looks at what is found by looking."""
_FIRST_RETRY_S = 5.0
_LAST_RETRY_S = 300.0
_LOG = structlog.get_logger()


class Look(msgspec.Struct, frozen=True):
    """Something that is found by looking, not in calls."""

    kinds: tuple[Kind, ...]
    """What it finds as long as it lasts."""
    see: Callable[[Memory, int], Iterable[Sighting]]
    """Everything there is of it, at an instant (Unix time in nanoseconds)."""


class _Way:
    """A channel, and when it is to be tried again."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.failures = 0
        self.due_s = 0.0
        self.said = ""

    def failed(self, said: str, now_s: float) -> None:
        if said != self.said:
            _LOG.warning("a channel takes no alerts", channel=self.channel.name, error=said)
        self.said = said
        self.failures += 1
        self.due_s = now_s + min(_LAST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(self.failures - 1, 16))

    def works(self) -> None:
        if self.failures:
            _LOG.info("a channel takes alerts again", channel=self.channel.name, failures=self.failures)
        self.failures, self.due_s, self.said = 0, 0.0, ""


class AlertsSink:
    """Sees, remembers, tells.

    Args:
        settings: The channels; one at least.
        path: Where it remembers.
        reader: What reads calls.
        looks: What is looked at from time to time.
        console: Where people look, when the settings name nothing.
        clock: Unix time in nanoseconds.
    """

    name = "alerts"

    def __init__(
        self,
        settings: AlertSettings,
        path: Path,
        reader: CallReader,
        looks: Sequence[Look] = (),
        *,
        console: str = "",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._settings = settings
        self._path = path
        self._reader = reader
        self._looks = looks
        self._links = Links(console=settings.link or console)
        self._clock = clock
        self._ways = [_Way(make_channel(channel)) for channel in settings.channels]
        self._memory: Memory | None = None
        self._look_at_s = float("-inf")
        self._trouble = ""
        self._counts: Counter[str] = Counter()

    @property
    def trouble(self) -> str:
        """What is wrong with telling, while calls are taken all the same; empty where nothing is."""
        return "; ".join(
            filter(None, (self._trouble, *(f"{way.channel.name}: {way.said}" for way in self._ways if way.said)))
        )

    def check(self) -> None:
        """Look, and tell what waits. Never fails: what cannot be told lies in the file, and is tried again."""
        self._trying(self._turn)

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """See what a batch says, and tell what waits; gives what became of it."""
        if not self._trying(lambda memory: self._see(memory, batch)):
            # An alert less is the smaller evil: a sink that waited for a full disk would hold the journal up with it.
            self._counts["unseen_batches"] += 1
        self._trying(self._turn)
        counts, self._counts = self._counts, Counter()
        return +counts

    def close(self) -> None:
        """Close the file and the connections."""
        for way in self._ways:
            way.channel.close()
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _see(self, memory: Memory, batch: Batch) -> None:
        now_ns = self._clock()
        sightings = self._reader.read(batch.calls, now_ns)
        if memory.take(batch.token, sightings, now_ns):
            self._counts["sightings"] += sum(one.count for one in sightings)

    def _turn(self, memory: Memory) -> None:
        now_ns = self._clock()
        if time.monotonic() >= self._look_at_s:
            self._look_at_s = time.monotonic() + LOOK_S
            memory.expire(now_ns)
            for look in self._looks:
                memory.look(look.kinds, list(look.see(memory, now_ns)), now_ns)
        for way in self._ways:
            self._tell(memory, way, now_ns)
        dropped, memory.dropped = memory.dropped, 0
        self._counts["dropped"] += dropped

    def _tell(self, memory: Memory, way: _Way, now_ns: int) -> None:
        """Send what waits for a channel, until nothing does or it fails."""
        name = way.channel.name
        while time.monotonic() >= way.due_s:
            message = memory.next_message(name, now_ns, self._settings.group_s)
            if message is None:
                return
            try:
                way.channel.send(message, self._links)
            except SinkUnavailableError as error:
                self._counts[f"failed_{name}"] += 1
                way.failed(str(error), time.monotonic())
                return
            except RefusedError as error:
                self._counts[f"refused_{name}_{error.reason}"] += len(message.notices)
                _LOG.warning("a channel refused alerts", channel=name, reason=error.reason)
            except Exception:  # noqa: BLE001 - a message that we cannot write must not keep all others back
                self._counts[f"refused_{name}_mistake"] += len(message.notices)
                _LOG.exception("a mistake of the channel", channel=name)
            else:
                self._counts[f"messages_{name}"] += 1
            memory.sent(message)
            way.works()

    def _trying(self, work: Callable[[Memory], None]) -> bool:
        """Do it; what is wrong with the file is told, and does not stop the journal. Whether it was done."""
        try:
            if self._memory is None:
                severities = {channel.name: channel.severity for channel in self._settings.channels}
                self._memory = Memory(self._path, severities, self._settings.repeat_s)
                self._memory.forget_channels()
            work(self._memory)
        except (sqlite3.Error, OSError) as error:
            if not self._trouble:
                _LOG.warning("alerts cannot be remembered", error=str(error))
            self._trouble = f"{self._path.name} cannot be used: {error}"
            return False
        except Exception as error:  # noqa: BLE001 - a mistake in an alert must not hold segments in the journal
            if not self._trouble:
                _LOG.exception("a mistake of the alerts")
            self._trouble = f"a mistake: {type(error).__name__}"
            self._counts["mistakes"] += 1
            return False
        self._trouble = ""
        return True
