"""What a channel is: somewhere that messages go."""

from typing import Protocol

import msgspec

from exporters.alerts.alert import Message

BUDGET_COMMAND = "taximeter budget status"


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where people look next."""

    console: str
    """URL of the admin port, or of what the operator named in its place."""


class Channel(Protocol):
    """Sends messages. Called from the thread of the sink; it may block for its timeout.

    Raises:
        SinkUnavailableError: Nobody took it. It is sent again, under the same id.
        RefusedError: It is not to be sent again: the receiver blames the message itself.
    """

    name: str

    def send(self, message: Message, links: Links) -> None:
        """Send a message once."""

    def close(self) -> None:
        """Let go of connections."""


def command_for(policy: str) -> str:
    """The command that shows what an alert is about; empty where there is none."""
    kind, _, name = policy.partition(":")
    return f"{BUDGET_COMMAND} {name}" if kind == "budget" else ""
