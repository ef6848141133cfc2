"""The settings the processes run on: plain values, already checked, handed from the supervisor to its children.

What people write is `proxy.config`; what the code receives is this. It holds secrets: it travels by pipe, never by
argument list, environment or file.
"""

from pathlib import Path
from typing import Literal

import msgspec


class Listen(msgspec.Struct, frozen=True):
    """An address to listen on."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """`http://host:port`, IPv6 hosts in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class ProviderKey(msgspec.Struct, frozen=True, kw_only=True):
    """One of several keys of the operator's at a provider."""

    name: str
    """What it is called in records."""
    key: str
    weight: int = 1
    """Its share of the calls, against the weights of the others."""

    def __repr__(self) -> str:
        """Without the key: settings end up in tracebacks."""
        return f"ProviderKey(name={self.name!r}, weight={self.weight})"


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream of the data plane, reached under `/{name}/`."""

    name: str
    kind: str
    base_url: str
    """Scheme, host, optional port and path prefix; never a trailing slash."""
    api_key: str | None = None
    """The provider's real key; None lets the app's own key pass."""
    api_keys: tuple[ProviderKey, ...] = ()
    """Several of them, in its place."""
    currency: str | None = None
    """Overrides the host's currency (ISO 4217)."""
    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 600.0
    idle_timeout_s: float = 300.0
    tls_verify: bool = True
    tls_ca_file: str | None = None
    inject_usage: bool | None = None
    """Ask for usage in OpenAI-style streams; None follows the provider's default."""
    traceparent: bool = True
    max_connections: int = 1000

    @property
    def has_key(self) -> bool:
        """Whether the operator has a key of his own there."""
        return self.api_key is not None or bool(self.api_keys)

    def __repr__(self) -> str:
        """Without the key: settings end up in tracebacks."""
        return f"ProviderSettings(name={self.name!r}, kind={self.kind!r}, base_url={self.base_url!r})"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows go: a ClickHouse of the operator's, or the embedded store on loopback."""

    url: str
    """`http(s)://host:port` of the ClickHouse HTTP interface."""
    user: str
    password: str
    database: str = "taximeter"
    embedded: bool = True
    reader_user: str = "reader"
    reader_password: str = ""
    tls_verify: bool = True
    tls_ca_file: str | None = None
    max_memory_bytes: int = 0
    """What the embedded engine may hold in memory; 0: a quarter of the machine or container, from 1 to 4 GiB."""
    max_queries: int = 8
    """How many queries the embedded store runs at once; more of them wait."""
    cluster: str | None = None
    """Name of the cluster that the tables are spread over; None: one server."""
    retention: dict[str, int | None] = {}
    """Table -> days that its rows are kept, None for ever; a table that is not named is left as it is."""
    self_check_hour: int | None = 3
    """Hour in UTC of the nightly self-check; None: never."""

    def __repr__(self) -> str:
        """Without the passwords: settings end up in tracebacks."""
        return f"StoreSettings(url={self.url!r}, user={self.user!r}, database={self.database!r})"


class OtlpTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where one signal of OpenTelemetry goes."""

    endpoint: str
    """Over HTTP the whole URL of the signal; over gRPC scheme, host and port, `http` meaning without TLS."""
    protocol: Literal["http/protobuf", "grpc"]
    headers: dict[str, str] = {}
    """By small name; most of them are credentials."""
    compression: Literal["gzip", "none"] = "gzip"
    timeout_s: float = 10.0
    """For one request."""
    tls_ca_file: str | None = None
    tls_cert_file: str | None = None
    """Our own certificate, where the receiver asks for one."""
    tls_key_file: str | None = None

    def __repr__(self) -> str:
        """Without the headers: settings end up in tracebacks."""
        return f"OtlpTarget(endpoint={self.endpoint!r}, protocol={self.protocol!r})"


class OtlpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Spans and metrics over OTLP."""

    enabled_by: str
    """What said where they go: `sinks.otlp.endpoint`, or environment variables."""
    traces: OtlpTarget | None = None
    metrics: OtlpTarget | None = None
    unsampled_too: bool = False
    """Whether traces go out that the app asked not to sample."""
    temporality: Literal["cumulative", "delta"] = "cumulative"
    metrics_interval_s: float = 60.0
    resource: dict[str, str] = {}
    """Attributes of who sends; `service.name` is `taximeter` where nothing says otherwise."""


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver of call records."""

    name: str
    hook_url: str
    """Whole; many receivers take its path or query for a key."""
    secret: str
    """What the messages are signed with."""
    only: Literal["all", "errors"] = "all"
    timeout_s: float = 15.0
    tls_ca_file: str | None = None

    def __repr__(self) -> str:
        """Without URL and secret: settings end up in tracebacks."""
        return f"WebhookSettings(name={self.name!r}, only={self.only!r})"


class SinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where calls go besides the store."""

    otlp: OtlpSettings | None = None
    webhooks: tuple[WebhookSettings, ...] = ()


class HookChannel(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="webhook"):
    """Alerts as signed JSON."""

    name: str
    hook_url: str
    secret: str
    """What the messages are signed with."""
    severity: Literal["info", "warning", "critical"] = "warning"
    """The mildest that it gets."""
    timeout_s: float = 15.0
    tls_ca_file: str | None = None

    def __repr__(self) -> str:
        """Without URL and secret: settings end up in tracebacks."""
        return f"HookChannel(name={self.name!r}, severity={self.severity!r})"


class SlackChannel(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="slack"):
    """Alerts as an incoming webhook of Slack takes them."""

    name: str
    hook_url: str
    """Whole; its path is the key."""
    severity: Literal["info", "warning", "critical"] = "warning"
    timeout_s: float = 15.0
    tls_ca_file: str | None = None

    def __repr__(self) -> str:
        """Without the URL, as above."""
        return f"SlackChannel(name={self.name!r}, severity={self.severity!r})"


class EmailChannel(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="email"):
    """Alerts by email."""

    name: str
    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    """`starttls` refuses to go on with a server that offers none."""
    sender: str
    recipients: tuple[str, ...]
    user: str | None = None
    password: str | None = None
    severity: Literal["info", "warning", "critical"] = "warning"
    timeout_s: float = 15.0
    tls_ca_file: str | None = None

    def __repr__(self) -> str:
        """Without the password, as above."""
        return f"EmailChannel(name={self.name!r}, host={self.host!r}, severity={self.severity!r})"


AlertChannel = HookChannel | SlackChannel | EmailChannel


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears of what is the matter."""

    channels: tuple[AlertChannel, ...] = ()
    """None: nobody, and nothing is looked for."""
    group_s: float = 10.0
    """How long a first alert waits for others to go with it."""
    repeat_s: float | None = 43200.0
    """After how long one that lasts is told again; None: never."""
    link: str = ""
    """Where people look: the address of the admin port from outside, or of a dashboard."""


class LedgerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where budgets and limits are counted."""

    url: str | None = None
    """`redis(s)://host:port/database`; None: a file in the data folder."""
    user: str | None = None
    password: str | None = None
    tls_verify: bool = True
    tls_ca_file: str | None = None
    cluster: bool = False
    name: str = "taximeter"
    """What the keys in Redis begin with: the Taximeters of one name count together."""
    timeout_s: float = 1.0

    def __repr__(self) -> str:
        """Without the password: settings end up in tracebacks."""
        return f"LedgerSettings(url={self.url!r}, name={self.name!r})"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a process needs to know to start."""

    listen: Listen
    admin: Listen
    store: StoreSettings
    data_dir: Path
    workers: int
    providers: tuple[ProviderSettings, ...]
    max_request_bytes: int = 256 * 1024 * 1024
    """A larger request body is refused with 413 where it has to be held; streamed bodies have no limit of ours."""
    max_captured_bytes: int = 32 * 1024 * 1024
    """How much of one whole answer is kept for metering; a larger one passes unmetered, counted."""
    journal_segment_s: float = 1.0
    journal_segment_bytes: int = 8 * 1024 * 1024
    journal_durability: Literal["fast", "group", "strict"] = "group"
    """What a line survives: the death of the process; that of the machine too, but for a moment; that too, at once."""
    journal_keep_s: float = 86400.0
    """How long segments are kept that every sink has; 0 keeps none."""
    journal_keep_bytes: int = 512 * 1024 * 1024
    """How large all kept segments may be together; the oldest hours go first."""
    journal_max_bytes: int = 4 * 1024**3
    """What may wait in the journal for a sink, of all workers together: some 1.5 million calls."""
    journal_min_free_bytes: int = 256 * 1024 * 1024
    """What the journal leaves free of its file system."""
    journal_on_full: Literal["pass", "refuse"] = "pass"
    """Whether calls go on unrecorded when the journal is full, or are refused."""
    metrics_max_models: int = 60
    """How many pairs of provider and model have label values of their own in `/metrics`."""
    metrics_max_teams: int = 0
    """Likewise for teams; 0 makes no metrics by team."""
    shutdown_grace_s: float = 30.0
    sinks: SinkSettings = SinkSettings()
    alerts: AlertSettings = AlertSettings()
    semconv: str = "1.41"
    ledger: LedgerSettings = LedgerSettings()
    price_files: tuple[str, ...] = ()
    policy_files: tuple[str, ...] = ()
    """Paths and globs, absolute; they are looked at anew whenever policies are loaded."""
    config_file: str | None = None
    admin_hosts: tuple[str, ...] = ()
    """Host names, besides `localhost` and IP addresses, under which the admin port answers."""
    admin_token: str = ""
    """What opens the console; empty: nothing does from other machines, and nothing is needed on loopback."""
    key_mode: Literal["passthrough", "virtual", "both"] = "both"
    """Which keys apps may send: their own provider keys, virtual ones, or either."""
    key_pepper: str = ""
    """What the hashes of virtual keys are keyed with, as hex."""
    sandbox: Listen | None = None
    """Where the sandbox provider listens; None when the supervisor starts none."""

    def __repr__(self) -> str:
        """Without the pepper: settings end up in tracebacks."""
        shown = (self.listen, str(self.data_dir), self.config_file, self.providers, self.store, self.ledger)
        return f"Settings{shown}"

    @property
    def journal_dir(self) -> Path:
        """Where the workers write their segments."""
        return self.data_dir / "journal"

    @property
    def store_dir(self) -> Path:
        """Where the embedded store keeps its data."""
        return self.data_dir / "store"

    @property
    def ledger_path(self) -> Path:
        """The ledger's file, where `ledger.url` names no server."""
        return self.data_dir / "ledger.sqlite"

    @property
    def run_dir(self) -> Path:
        """State of the running processes: lock, pids, cursors."""
        return self.data_dir / "run"


def to_json(settings: Settings) -> bytes:
    """Settings as bytes for a pipe."""
    return msgspec.json.encode(settings, enc_hook=str)


def from_json(data: bytes) -> Settings:
    """Settings from the bytes of `to_json`."""
    return msgspec.json.decode(data, type=Settings, dec_hook=_decode)


def _decode(kind: type, value: object) -> object:
    if kind is Path or (isinstance(kind, type) and issubclass(kind, Path)):
        return Path(str(value))
    raise NotImplementedError(kind)
