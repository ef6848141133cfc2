"""The `OTEL_` variables of the environment, as far as they say where spans and metrics go and how.

What `taximeter.yaml` says wins; these fill what it leaves out. The variable of one signal wins over the general one.
Values are read by the rules of the specification: durations are milliseconds, lists are `key=value` with a comma in
between and percent escapes. A value that cannot be read is a problem, which names the variable and not the value.

Source: OpenTelemetry's specifications of the OTLP exporter and of environment variables.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import unquote

from proxy.config import values
from proxy.config.problems import Report

Signal = Literal["traces", "metrics"]
Protocol = Literal["http/protobuf", "grpc"]

_T = TypeVar("_T")
_LEAST_MS = 100
"""Smaller figures are seconds by mistake: some SDKs read them so."""
_PREFIX = "OTEL_EXPORTER_OTLP_"
_PREFERENCES: dict[str, Literal["cumulative", "delta"]] = {
    "cumulative": "cumulative",
    "delta": "delta",
    "lowmemory": "delta",  # what it means for the kinds of metrics that we have
}


class OtelEnv:
    """The variables; `env` is the environment, problems go to `report`."""

    def __init__(self, env: Mapping[str, str], report: Report) -> None:
        self._env = env
        self._report = report

    @property
    def disabled(self) -> bool:
        """Whether the environment asks for no telemetry at all."""
        return self._said("OTEL_SDK_DISABLED").lower() == "true"

    def wants(self, signal: Signal) -> bool:
        """Whether a signal is to go out by OTLP; it is where nothing says otherwise."""
        exporters = self._said(f"OTEL_{signal.upper()}_EXPORTER")
        return not exporters or "otlp" in {name.strip() for name in exporters.split(",")}

    def endpoint_name(self, signal: Signal) -> str:
        """The variable that says where a signal goes; empty where there is none."""
        return self._name(signal, "ENDPOINT")

    def endpoint(self, signal: Signal, protocol: Protocol) -> str | None:
        """The endpoint in the form that `OtlpTarget` has."""
        name = self.endpoint_name(signal)
        raw = self._said(name)
        if protocol == "grpc" and raw and "://" not in raw:
            insecure = self._said(self._name(signal, "INSECURE")).lower() == "true"
            raw = f"{'http' if insecure else 'https'}://{raw}"
        url = self._read(name, raw, values.base_url)
        if url is None or protocol == "grpc" or name != f"{_PREFIX}ENDPOINT":
            return url
        return f"{url}/v1/{signal}"

    def protocol(self, signal: Signal) -> Protocol | None:
        """The protocol; JSON is one that we do not speak."""
        return self._choice(self._name(signal, "PROTOCOL"), {"grpc": "grpc", "http/protobuf": "http/protobuf"})

    def compression(self, signal: Signal) -> Literal["gzip", "none"] | None:
        """The coding of requests."""
        return self._choice(self._name(signal, "COMPRESSION"), {"gzip": "gzip", "none": "none"})

    def headers(self, signal: Signal) -> dict[str, str]:
        """What is sent along, by small name."""
        pairs = self._pairs(self._name(signal, "HEADERS"))
        return {name.lower(): value for name, value in pairs.items()}

    def timeout_s(self, signal: Signal) -> float | None:
        """How long one request may take, in seconds."""
        return self._duration_s(self._name(signal, "TIMEOUT"))

    def file(self, signal: Signal, what: Literal["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"]) -> str | None:
        """A file of certificates or a key; its whole path."""

        def readable(raw: str) -> str:
            if not Path(raw).is_file():
                raise ValueError("names no file")
            return str(Path(raw).absolute())

        name = self._name(signal, what)
        return self._read(name, self._said(name), readable)

    def temporality(self) -> Literal["cumulative", "delta"] | None:
        """Whether figures of metrics are totals or what came since the last ones."""
        return self._choice(f"{_PREFIX}METRICS_TEMPORALITY_PREFERENCE", _PREFERENCES)

    def metrics_interval_s(self) -> float | None:
        """How often metrics go out, in seconds."""
        return self._duration_s("OTEL_METRIC_EXPORT_INTERVAL")

    def resource(self) -> dict[str, str]:
        """Who sends; a service name that stands alone wins."""
        named = self._said("OTEL_SERVICE_NAME")
        return self._pairs("OTEL_RESOURCE_ATTRIBUTES") | ({"service.name": named} if named else {})

    def _said(self, name: str) -> str:
        """The value; empty is the same as not there."""
        return self._env.get(name, "").strip()

    def _name(self, signal: Signal, what: str) -> str:
        """The variable of the signal if it is there, else the general one; empty where there is neither."""
        names = (f"{_PREFIX}{signal.upper()}_{what}", f"{_PREFIX}{what}")
        return next((name for name in names if self._said(name)), "")

    def _read(self, name: str, raw: str, parse: Callable[[str], _T]) -> _T | None:
        if not raw:
            return None
        try:
            return parse(raw)
        except ValueError as error:
            problem = f"environment variable {name} {error}"
            if all(problem != seen.what for seen in self._report.problems):
                self._report.add((), problem)
            return None

    def _choice(self, name: str, known: Mapping[str, _T]) -> _T | None:
        def chosen(raw: str) -> _T:
            if raw.lower() not in known:
                raise ValueError(f"must be one of {', '.join(known)}")
            return known[raw.lower()]

        return self._read(name, self._said(name), chosen)

    def _duration_s(self, name: str) -> float | None:
        def seconds(raw: str) -> float:
            if not (raw.isascii() and raw.isdigit() and _LEAST_MS <= int(raw) <= values.MAX_DURATION_S * 1000):
                raise ValueError(f"must be a number of milliseconds, {_LEAST_MS} or more")
            return int(raw) / 1000

        return self._read(name, self._said(name), seconds)

    def _pairs(self, name: str) -> dict[str, str]:
        def pairs(raw: str) -> dict[str, str]:
            found: dict[str, str] = {}
            for member in filter(str.strip, raw.split(",")):
                key, sign, value = (unquote(part).strip() for part in member.partition("="))
                if not (sign and key and f"{key}{value}".isprintable()):
                    raise ValueError("must be key=value, with a comma between two of them")
                found[key] = value
            return found

        return self._read(name, self._said(name), pairs) or {}
