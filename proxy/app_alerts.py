"""The wiring of alerts: the recorder's sink of them, and what `taximeter alerts` asks."""

import time
import uuid
from typing import TYPE_CHECKING

from proxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporters.alerts.alert import Message
    from exporters.alerts.sink import AlertsSink
    from exporters.ledger.watching import Watched
    from exporters.recorder.status import RecorderStatus
    from policies.ledger.books import Books

MEMORY = "alerts.sqlite"
"""File in the run folder that alerts are remembered in."""


def alert_sinks(
    settings: Settings, known: "RecorderStatus", books: "Books", drift: "Callable[[], Watched | None]" = lambda: None
) -> "tuple[AlertsSink, ...]":
    """The sink of alerts where there is a channel; nothing is looked for where there is none.

    Args:
        settings: Of the recorder.
        known: The recorder's status, which is looked at.
        books: The ledger's, for figures and pace; the sink's own.
        drift: What the last comparison of ledger and store has found.
    """
    if not settings.alerts.channels:
        return ()
    # Imported here: a recorder without channels needs none of it.
    from exporters.alerts.looking import budget_look, drift_look, status_look
    from exporters.alerts.reading import CallReader
    from exporters.alerts.rulebook import Rulebook
    from exporters.alerts.sink import AlertsSink
    from proxy.policy_state import policies_file

    rulebook = Rulebook(policies_file(settings))
    sink = AlertsSink(
        settings.alerts,
        settings.run_dir / MEMORY,
        CallReader(rulebook, books),
        [budget_look(rulebook, books), status_look(known), drift_look(drift)],
        console=settings.admin.url,
    )
    return (sink,)


def try_channels(settings: Settings, names: "list[str]") -> dict[str, str]:
    """Send a test alert to channels, each at once; name -> what went wrong, empty where it was taken.

    Blocks for the timeouts of the channels. A name that is not configured is a KeyError.
    """
    # Imported here: see above.
    from exporters.alerts.channel import Links
    from exporters.alerts.channels import make_channel
    from exporters.recorder.ports import SinkUnavailableError
    from exporters.webhook.post import RefusedError

    configured = {channel.name: channel for channel in settings.alerts.channels}
    links = Links(console=settings.alerts.link or settings.admin.url)
    outcomes: dict[str, str] = {}
    for name in names or configured:
        channel = make_channel(configured[name])
        try:
            channel.send(_test_message(name), links)
        except SinkUnavailableError as error:
            outcomes[name] = str(error)
        except RefusedError as error:
            outcomes[name] = f"the receiver refuses it: {error.reason}"
        else:
            outcomes[name] = ""
        finally:
            channel.close()
    return outcomes


def _test_message(name: str) -> "Message":
    from exporters.alerts.alert import Message, Notice, Signal

    now_ns = time.time_ns()
    signal = Signal(
        kind="test",
        severity="info",
        title=f"a test of the channel {name}",
        text="Nothing is the matter: somebody asked for this with taximeter alerts test.",
    )
    notice = Notice(key=f"test:{name}", event="opened", at_ns=now_ns, since_ns=now_ns, count=1, signal=signal)
    return Message(message_id=uuid.uuid4().hex, notices=(notice,))
