"""The section `alerts` -> settings: who hears of what is the matter."""

import re
from collections.abc import Callable

from proxy.config.hooks import HookFields
from proxy.config.problems import KeyPath, Report
from proxy.config.schema import AlertChannelConfig, AlertsConfig
from proxy.config.values import SecretRef
from proxy.settings import AlertChannel, AlertSettings, EmailChannel, HookChannel, SlackChannel

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_ADDRESS = re.compile(r"[!-;=?A-~]+@[A-Za-z0-9.\[\]:-]+")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_OF_KIND = {
    "webhook": frozenset({"url", "secret"}),
    "slack": frozenset({"url"}),
    "email": frozenset({"host", "port", "security", "user", "password", "sender", "to"}),
}
_NEEDED = {"webhook": ("url", "secret"), "slack": ("url",), "email": ("host", "sender", "to")}


class AlertsBuilder:
    """Turns the section into settings.

    Args:
        config: The section.
        report: Where mistakes go.
        secret: What a reference at a path stands for; None where it stands for nothing, which is then reported.
        readable: The whole path of a file; reported where it cannot be read.
    """

    def __init__(
        self,
        config: AlertsConfig,
        *,
        report: Report,
        secret: Callable[[SecretRef | None, KeyPath], str | None],
        readable: Callable[[str, KeyPath], str],
    ) -> None:
        self._config = config
        self._secret = secret
        self._report = report
        self._fields = HookFields(report, secret=secret, readable=readable)

    def build(self) -> AlertSettings:
        """The settings; they are only good for use when the report is empty afterwards."""
        made = [self._channel(name, channel) for name, channel in self._config.channels.items()]
        return AlertSettings(
            channels=tuple(channel for channel in made if channel is not None),
            group_s=self._config.group,
            repeat_s=self._config.repeat,
            link=self._config.link or "",
        )

    def _channel(self, name: str, config: AlertChannelConfig) -> AlertChannel | None:
        path: KeyPath = ("alerts", "channels", name)
        if not _NAME.fullmatch(name):
            self._report.add(path, "a channel's name is made of small letters, digits and dashes, 40 at most")
        kind = config.kind
        if kind is None:
            self._fields.add(path, "needs a kind: webhook, slack or email")
            return None
        others = frozenset().union(*_OF_KIND.values()) - _OF_KIND[kind]
        for key in sorted(others & config.model_fields_set):
            self._fields.add((*path, key), f"does not belong to a channel of kind {kind}")
        for key in _NEEDED[kind]:
            if not getattr(config, key):
                self._fields.add(path, f"needs {key}")
        ca_file = self._fields.certificates(config.tls.ca_file, (*path, "tls", "ca_file"))
        if kind == "email":
            return self._email(name, config, ca_file, path)
        hook_url = self._fields.url(config.url, (*path, "url"))
        secret = self._fields.signing_secret(config.secret, (*path, "secret")) if kind == "webhook" else ""
        if not hook_url or secret is None:
            return None
        if kind == "slack":
            return SlackChannel(
                name=name,
                hook_url=hook_url,
                severity=config.severity,
                timeout_s=config.timeout,
                tls_ca_file=ca_file,
            )
        return HookChannel(
            name=name,
            hook_url=hook_url,
            secret=secret,
            severity=config.severity,
            timeout_s=config.timeout,
            tls_ca_file=ca_file,
        )

    def _email(self, name: str, config: AlertChannelConfig, ca_file: str | None, path: KeyPath) -> EmailChannel | None:
        for key, addresses in (("sender", [config.sender] if config.sender else []), ("to", config.to)):
            if not all(_ADDRESS.fullmatch(one) for one in addresses):
                self._fields.add((*path, key), "must be an address such as taximeter@example.com, without a name")
        if (config.user is None) != (config.password is None):
            self._fields.add(path, "user and password belong together")
        if config.user is not None and config.security == "none":
            self._fields.add((*path, "security"), "must be starttls or tls where there is a password")
        password = self._secret(config.password, (*path, "password"))
        if config.host is None or config.sender is None:
            return None
        return EmailChannel(
            name=name,
            host=config.host,
            port=config.port or _PORTS[config.security],
            security=config.security,
            user=config.user,
            password=password,
            sender=config.sender,
            recipients=tuple(config.to),
            severity=config.severity,
            timeout_s=config.timeout,
            tls_ca_file=ca_file,
        )
