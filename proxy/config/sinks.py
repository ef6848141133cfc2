"""The section `sinks` -> settings: where calls go besides the store.

OTLP is on when something says where to: `sinks.otlp.endpoint`, or `OTEL_EXPORTER_OTLP_ENDPOINT` (or the variable of
one signal) in the environment. `sinks.otlp.enabled: false` turns it off, whatever the environment says.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from typing import Literal

from proxy.config.hooks import HookFields
from proxy.config.otel_env import OtelEnv, Signal
from proxy.config.otel_env import Protocol as OtlpProtocol
from proxy.config.problems import KeyPath, Report
from proxy.config.schema import ClientTlsConfig, OtlpConfig, SinksConfig, WebhookConfig
from proxy.config.values import SecretRef
from proxy.settings import OtlpSettings, OtlpTarget, SinkSettings, WebhookSettings

_OTLP: KeyPath = ("sinks", "otlp")
_CREDENTIAL = re.compile(r"auth|key|token|secret|cookie|passw|credential")
_HOOK_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_SAY_REFERENCE = "a secret must not stand in this file; refer to it as env:NAME or file:PATH"


class SinksBuilder:
    """Turns the section into settings.

    Args:
        config: The section.
        env: The environment.
        report: Where mistakes go.
        secret: What a reference at a path stands for; None where it stands for nothing, which is then reported.
        readable: The whole path of a file; reported where it cannot be read.
    """

    def __init__(
        self,
        config: SinksConfig,
        *,
        env: Mapping[str, str],
        report: Report,
        secret: Callable[[SecretRef | None, KeyPath], str | None],
        readable: Callable[[str, KeyPath], str],
    ) -> None:
        self._config = config
        self._otel = OtelEnv(env, report)
        self._report = report
        self._secret = secret
        self._hooks = HookFields(report, secret=secret, readable=readable)

    def build(self) -> SinkSettings:
        """The settings; they are only good for use when the report is empty afterwards."""
        made = [self._webhook(name, hook) for name, hook in self._config.webhooks.items()]
        return SinkSettings(otlp=self._otlp(self._config.otlp), webhooks=tuple(filter(None, made)))

    def _otlp(self, otlp: OtlpConfig) -> OtlpSettings | None:
        if not otlp.enabled:
            return None
        enabled_by = self._enabled_by(otlp)
        if not enabled_by:
            if otlp.model_fields_set - {"enabled"} and not self._report.has(_OTLP):
                example = "such as http://127.0.0.1:4318"
                say = f"needs an endpoint, here or in the environment variable OTEL_EXPORTER_OTLP_ENDPOINT, {example}"
                self._report.add(_OTLP, say)
            return None
        traces = self._target(otlp, "traces") if self._wants("traces", otlp.traces) else None
        metrics = self._target(otlp, "metrics") if self._wants("metrics", otlp.metrics) else None
        if traces is None and metrics is None:
            return None
        temporality = otlp.metrics if otlp.metrics in {"cumulative", "delta"} else self._otel.temporality()
        return OtlpSettings(
            enabled_by=enabled_by,
            traces=traces,
            metrics=metrics,
            unsampled_too=otlp.traces == "all",
            temporality="delta" if temporality == "delta" else "cumulative",
            metrics_interval_s=otlp.metrics_interval or self._otel.metrics_interval_s() or 60.0,
            resource=self._resource(otlp),
        )

    def _enabled_by(self, otlp: OtlpConfig) -> str:
        if otlp.endpoint:
            return "sinks.otlp.endpoint"
        if self._otel.disabled and not otlp.model_fields_set:
            return ""
        signals: tuple[Signal, ...] = ("traces", "metrics")
        return ", ".join(dict.fromkeys(filter(None, map(self._otel.endpoint_name, signals))))

    def _wants(self, signal: Signal, said: Literal["sampled", "all", "cumulative", "delta", "none"] | None) -> bool:
        if said is not None:
            return said != "none"
        return self._otel.wants(signal)

    def _target(self, otlp: OtlpConfig, signal: Signal) -> OtlpTarget | None:
        protocol: OtlpProtocol = otlp.protocol or self._otel.protocol(signal) or "http/protobuf"
        endpoint = self._endpoint(otlp, signal, protocol)
        if endpoint is None:
            # Only the other signal has one.
            return None
        tls = self._tls(otlp.tls, signal)
        return OtlpTarget(
            endpoint=endpoint,
            protocol=protocol,
            headers=self._headers(otlp) or self._otel.headers(signal),
            compression=otlp.compression or self._otel.compression(signal) or "gzip",
            timeout_s=otlp.timeout or self._otel.timeout_s(signal) or 10.0,
            tls_ca_file=tls.ca_file,
            tls_cert_file=tls.cert_file,
            tls_key_file=tls.key_file,
        )

    def _endpoint(self, otlp: OtlpConfig, signal: Signal, protocol: OtlpProtocol) -> str | None:
        if otlp.endpoint is None:
            return self._otel.endpoint(signal, protocol)
        if re.search(r"/v1/(traces|metrics|logs)$", otlp.endpoint):
            self._hooks.add((*_OTLP, "endpoint"), "must be the base that both signals share, without /v1/traces")
        return otlp.endpoint if protocol == "grpc" else f"{otlp.endpoint}/v1/{signal}"

    def _headers(self, otlp: OtlpConfig) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in otlp.headers.items():
            path = (*_OTLP, "headers", name)
            if isinstance(value, SecretRef):
                if not self._report.has(path):
                    found[name] = self._secret(value, path) or ""
            elif _CREDENTIAL.search(name):
                self._hooks.add(path, _SAY_REFERENCE)
            else:
                found[name] = value
        return found

    def _tls(self, tls: ClientTlsConfig, signal: Signal) -> ClientTlsConfig:
        """Files of the section with whole paths, else those of the environment."""
        path = (*_OTLP, "tls")
        ca_file = self._hooks.certificates(tls.ca_file, (*path, "ca_file")) or self._otel.file(signal, "CERTIFICATE")
        if tls.cert_file is None:
            if tls.key_file is not None:
                self._hooks.add((*path, "key_file"), "belongs to cert_file, which is missing")
            cert_file = self._otel.file(signal, "CLIENT_CERTIFICATE")
            return ClientTlsConfig(
                ca_file=ca_file, cert_file=cert_file, key_file=self._otel.file(signal, "CLIENT_KEY") or cert_file
            )
        cert_file = self._hooks.once((*path, "cert_file"), tls.cert_file)
        key_file = self._hooks.once((*path, "key_file"), tls.key_file) if tls.key_file else cert_file
        if not self._report.has(path):
            try:
                ssl.create_default_context().load_cert_chain(cert_file, key_file)
            except (ssl.SSLError, OSError):
                self._hooks.add((*path, "cert_file"), "must hold a certificate in PEM form, and key_file its key")
        return ClientTlsConfig(ca_file=ca_file, cert_file=cert_file, key_file=key_file)

    def _resource(self, otlp: OtlpConfig) -> dict[str, str]:
        named = {"service.name": otlp.service_name} if otlp.service_name else {}
        return {"service.name": "taximeter"} | self._otel.resource() | otlp.resource | named

    def _webhook(self, name: str, hook: WebhookConfig) -> WebhookSettings | None:
        path: KeyPath = ("sinks", "webhooks", name)
        if not _HOOK_NAME.fullmatch(name):
            self._report.add(path, "a webhook's name is made of small letters, digits and dashes, 40 at most")
        for key, value in (("url", hook.url), ("secret", hook.secret)):
            if value is None and not self._report.has(path):
                self._report.add(path, f"needs a {key}")
        hook_url = self._hooks.url(hook.url, (*path, "url"))
        secret = self._hooks.signing_secret(hook.secret, (*path, "secret"))
        if not hook_url or not secret:
            return None
        return WebhookSettings(
            name=name,
            hook_url=hook_url,
            secret=secret,
            only=hook.only,
            timeout_s=hook.timeout,
            tls_ca_file=self._hooks.certificates(hook.tls.ca_file, (*path, "tls", "ca_file")),
        )
