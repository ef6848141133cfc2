"""Alerts as JSON that an incoming webhook of Slack takes, and of whatever takes the same.

What: one POST for each message: `text` for notifications, and blocks for each alert. 20 alerts are written out; of
more the last block says how many. Slack keeps no ids: a message whose answer was lost may appear twice.

Config: `alerts.channels.NAME` with `kind: slack`, `url`, `timeout`, `tls.ca_file`.

Example: `alerts: {channels: {team: {kind: slack, url: "env:SLACK_HOOK_URL"}}}`

Source: https://api.slack.com/messaging/webhooks and https://api.slack.com/reference/block-kit/blocks
"""

import re
from typing import Any

import msgspec

from exporters.alerts.alert import Message, Notice
from exporters.alerts.channel import Links
from exporters.alerts.words import EVENTS, SHOWN, command_of, headline, severity_of, when
from exporters.posting import Poster
from exporters.recorder.ports import SinkUnavailableError
from exporters.webhook.post import RefusedError
from proxy.settings import SlackChannel

_MOST_CHARS = 1400
"""Of a title and of a text, escaped; Slack takes 3000 of both together."""
_CUT_ESCAPE = re.compile(r"&[a-z]{0,3}$")
_MARKS = {"critical": ":red_circle:", "warning": ":large_orange_circle:", "resolved": ":white_check_mark:"}
_HEADERS = {"content-type": "application/json", "user-agent": "taximeter"}


class SlackAlerts:
    """One incoming webhook."""

    def __init__(self, channel: SlackChannel) -> None:
        self.name = channel.name
        self._poster = Poster(channel.hook_url, timeout_s=channel.timeout_s, ca_file=channel.tls_ca_file)

    def send(self, message: Message, links: Links) -> None:
        """See Channel."""
        status = self._poster.post(slack_body(message, links), _HEADERS).status
        if 200 <= status < 300:
            return
        if status in {400, 413, 422}:
            raise RefusedError(f"status_{status}")
        raise SinkUnavailableError(f"{self._poster.origin} answered with status {status}")

    def close(self) -> None:
        """Let go of the connection."""
        self._poster.close()


def slack_body(message: Message, links: Links) -> bytes:
    """The JSON of a message."""
    blocks = [block for notice in message.notices[:SHOWN] for block in _blocks(notice)]
    left = len(message.notices) - SHOWN
    end = f"and {left} more · <{links.console}|Taximeter>" if left > 0 else f"<{links.console}|Taximeter>"
    blocks.append({"type": "context", "elements": [_mrkdwn(end)]})
    return msgspec.json.encode({"text": _escaped(headline(message)), "blocks": blocks})


def _blocks(notice: Notice) -> list[dict[str, Any]]:
    signal, severity, command = notice.signal, severity_of(notice), command_of(notice)
    mark = f"{_MARKS[severity]} " if severity in _MARKS else ""
    body = f"{mark}*{_escaped(EVENTS[notice.event] + signal.title)}*\n{_escaped(signal.text)}"
    small = f"{severity} · {when(notice)}" + (f" · `{_escaped(command)}`" if command else "")
    return [
        {"type": "section", "text": _mrkdwn(body)},
        {"type": "context", "elements": [_mrkdwn(small)]},
    ]


def _mrkdwn(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text}


def _escaped(text: str) -> str:
    """Text that names no channel and no person, whatever a caller is called."""
    whole = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _CUT_ESCAPE.sub("", whole[:_MOST_CHARS]) if len(whole) > _MOST_CHARS else whole
