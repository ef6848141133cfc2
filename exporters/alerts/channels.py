"""All kinds of channels: one tuple, one line each. Adding one is a file, a line here, its settings, and its test."""

from collections.abc import Callable
from typing import Any

from exporters.alerts.channel import Channel
from exporters.alerts.hook import WebhookAlerts
from exporters.alerts.mail import EmailAlerts
from exporters.alerts.slack import SlackAlerts
from proxy.settings import AlertChannel, EmailChannel, HookChannel, SlackChannel

CHANNELS: tuple[tuple[type[AlertChannel], Callable[[Any], Channel]], ...] = (
    (HookChannel, WebhookAlerts),
    (SlackChannel, SlackAlerts),
    (EmailChannel, EmailAlerts),
)
"""What is configured, and what is made of it."""


def make_channel(settings: AlertChannel) -> Channel:
    """The channel of these settings. It connects to nothing yet."""
    return next(make(settings) for kind, make in CHANNELS if isinstance(settings, kind))
