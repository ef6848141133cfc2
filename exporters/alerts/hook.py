"""Alerts as signed JSON to a receiver of the operator's.

What: one POST for each message, signed as the Standard Webhooks convention has it; any library of it checks the
signature. A message that was not taken is sent again under the same `webhook-id`. The shape is a promise: within one
`version` a field is only ever added.

Config: `alerts.channels.NAME` with `kind: webhook`, `url`, `secret` (24 characters or more), `timeout`, `tls.ca_file`.

Example: `alerts: {channels: {ops: {kind: webhook, url: "https://hooks.example.com/x", secret: "env:HOOK_SECRET"}}}`

Source: the Standard Webhooks specification 1.0.0.
"""

from typing import Any

import msgspec

from exporters.alerts.alert import Message, Notice
from exporters.alerts.channel import Links
from exporters.alerts.words import command_of
from exporters.posting import Poster
from exporters.webhook.post import post_signed
from exporters.webhook.shape import instant
from proxy.settings import HookChannel

VERSION = 1
TYPE = "taximeter.alerts"


class WebhookAlerts:
    """One receiver."""

    def __init__(self, channel: HookChannel) -> None:
        self.name = channel.name
        self._secret = channel.secret
        self._poster = Poster(channel.hook_url, timeout_s=channel.timeout_s, ca_file=channel.tls_ca_file)

    def send(self, message: Message, links: Links) -> None:
        """See Channel."""
        post_signed(self._poster, message.message_id, hook_body(message, links), self._secret)

    def close(self) -> None:
        """Let go of the connection."""
        self._poster.close()


def hook_body(message: Message, links: Links) -> bytes:
    """The JSON of a message."""
    alerts = [_alert(notice, links) for notice in message.notices]
    at = max(notice.at_ns for notice in message.notices)
    told = {"type": TYPE, "version": VERSION, "timestamp": instant(at), "data": {"alerts": alerts}}
    return msgspec.json.encode(told)


def _alert(notice: Notice, links: Links) -> dict[str, Any]:
    signal, command = notice.signal, command_of(notice)
    return {
        "key": notice.key,
        "event": notice.event,
        "kind": signal.kind,
        "severity": signal.severity,
        "title": signal.title,
        "text": signal.text,
        "at": instant(notice.at_ns),
        "since": instant(notice.since_ns),
        "calls": notice.count,
        "fields": signal.fields,
        "links": {"console": links.console} | ({"command": command} if command else {}),
    }
