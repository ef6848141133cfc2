"""The keys of `taximeter.yaml`. Every key is optional; an unknown one is an error."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from proxy.config import values
from proxy.config.section import Section, parsed
from proxy.settings import Listen


def _version_text(raw: Any) -> Any:
    """YAML reads an unquoted 1.41 as a number."""
    return str(raw) if isinstance(raw, float) else raw


Seconds = Annotated[float, parsed(values.duration_s)]
SizeBytes = Annotated[int, parsed(values.size_bytes)]
Address = Annotated[Listen, parsed(values.listen)]
BaseUrl = Annotated[str, parsed(values.base_url)]
SecretReference = Annotated[values.SecretRef, parsed(values.secret_ref)]
Currency = Annotated[str, parsed(values.currency)]
Identifier = Annotated[str, parsed(values.identifier)]
HostName = Annotated[str, parsed(values.host_name)]
FilePath = Annotated[str, Field(min_length=1)]
HeaderName = Annotated[str, parsed(values.header_name)]
HeaderValue = Annotated[values.SecretRef | str, parsed(values.header_value)]
RedisUrl = Annotated[str, parsed(values.redis_url)]
WebUrl = Annotated[values.SecretRef | str, parsed(values.web_url)]


class TimeoutsConfig(Section):
    """How long to wait for a provider."""

    connect: Seconds = 10.0
    first_byte: Seconds = 600.0
    idle: Seconds = 300.0


class TlsConfig(Section):
    """How a server's certificate is checked."""

    verify: bool = True
    ca_file: FilePath | None = None


class ProviderKeyConfig(Section):
    """One of several keys of the operator's at a provider."""

    key: SecretReference | None = None
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    name: Annotated[str, parsed(values.key_name)] | None = None
    """What it is called in records; else the name of its variable or file."""


class ProviderConfig(Section):
    """One upstream. The name of a built-in provider brings its kind and base URL along."""

    enabled: bool = True
    kind: str | None = None
    base_url: BaseUrl | None = None
    api_key: SecretReference | None = None
    api_keys: list[ProviderKeyConfig] = []
    """Several, in place of `api_key`: calls are shared out by weight, around keys that are refused or slowed down."""
    timeouts: TimeoutsConfig = TimeoutsConfig()
    tls: TlsConfig = TlsConfig()
    inject_usage: bool | None = None
    traceparent: bool = True
    currency: Currency | None = None
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 1000


class ReaderConfig(Section):
    """The store's read-only user, for reports, dashboards and `taximeter sql`."""

    user: Annotated[str, Field(min_length=1)] | None = None
    password: SecretReference | None = None


class StoreConfig(Section):
    """A ClickHouse of the operator's when `url` is there, else the embedded store."""

    url: BaseUrl | None = None
    user: Annotated[str, Field(min_length=1)] | None = None
    password: SecretReference | None = None
    database: Identifier = "taximeter"
    reader: ReaderConfig = ReaderConfig()
    tls: TlsConfig = TlsConfig()
    listen: Address = Listen("127.0.0.1", 8486)
    max_memory_bytes: SizeBytes | None = None
    """What the embedded engine may hold; None: a quarter of the machine or container, from 1 to 4 GiB."""
    max_queries: Annotated[int, Field(ge=1, le=1000)] = 8
    cluster: Identifier | None = None
    """Name of the cluster, as the server's `remote_servers` has it, that the tables are spread over."""
    retention: dict[Identifier, Annotated[int | None, parsed(values.retention_days)]] = {}
    """Table -> days that its rows are kept, None for ever; a table that is not named is left as it is."""
    self_check_hour: Annotated[int | None, parsed(values.hour_of_day)] = 3
    """When, in UTC, the recorder looks each night for doubled rows and drifted sums; None: never."""


class LimitsConfig(Section):
    """Bounds of memory."""

    max_request_bytes: SizeBytes = 256 * 1024 * 1024
    max_captured_bytes: SizeBytes = 32 * 1024 * 1024


class JournalConfig(Section):
    """How the records of calls are kept until, and after, they are shipped."""

    segment: Seconds = 1.0
    segment_bytes: SizeBytes = 8 * 1024 * 1024
    durability: Literal["fast", "group", "strict"] = "group"
    """`fast` survives the death of a process, `group` that of the machine but for a moment, `strict` that too."""
    keep: Annotated[float, parsed(values.retention_s)] = 86400.0
    """How long shipped segments are kept; 0 keeps none."""
    keep_bytes: SizeBytes = 512 * 1024 * 1024
    max_bytes: SizeBytes = 4 * 1024**3
    """What may wait for a sink, of all workers together."""
    min_free_bytes: SizeBytes = 256 * 1024 * 1024
    """What is left free of the file system."""
    on_full: Literal["pass", "refuse"] = "pass"
    """`pass` lets calls go on unrecorded when there is no room, `refuse` answers them with 503; both are counted."""


class ClientTlsConfig(Section):
    """How a receiver's certificate is checked, and our own where it asks for one."""

    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None


class OtlpConfig(Section):
    """Spans and metrics over OTLP. What is left out is taken from the `OTEL_` variables of the environment."""

    enabled: bool = True
    endpoint: BaseUrl | None = None
    protocol: Literal["http/protobuf", "grpc"] | None = None
    headers: dict[HeaderName, HeaderValue] = {}
    compression: Literal["gzip", "none"] | None = None
    timeout: Seconds | None = None
    tls: ClientTlsConfig = ClientTlsConfig()
    traces: Literal["sampled", "all", "none"] | None = None
    metrics: Literal["cumulative", "delta", "none"] | None = None
    metrics_interval: Seconds | None = None
    service_name: Annotated[str, Field(min_length=1)] | None = None
    resource: dict[str, str] = {}


class WebhookTlsConfig(Section):
    """How a receiver's certificate is checked."""

    ca_file: FilePath | None = None


class WebhookConfig(Section):
    """One receiver of call records, under a name that its place in the journal is kept by."""

    url: WebUrl | None = None
    secret: SecretReference | None = None
    only: Literal["all", "errors"] = "all"
    timeout: Seconds = 15.0
    tls: WebhookTlsConfig = WebhookTlsConfig()


class SinksConfig(Section):
    """Where calls go besides the store."""

    otlp: OtlpConfig = OtlpConfig()
    webhooks: Annotated[dict[str, WebhookConfig], BeforeValidator(lambda raw: {} if raw is None else raw)] = {}


class AlertChannelConfig(Section):
    """One place that alerts go to; which keys it has depends on its kind."""

    kind: Literal["webhook", "slack", "email"] | None = None
    severity: Literal["info", "warning", "critical"] = "warning"
    """The mildest that it gets."""
    url: WebUrl | None = None
    secret: SecretReference | None = None
    host: HostName | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: Annotated[str, Field(min_length=1)] | None = None
    password: SecretReference | None = None
    sender: str | None = None
    to: list[str] = []
    timeout: Seconds = 15.0
    tls: WebhookTlsConfig = WebhookTlsConfig()


class AlertsConfig(Section):
    """Who hears of thresholds, refusals, forecasts, losses and drift."""

    channels: Annotated[dict[str, AlertChannelConfig], BeforeValidator(lambda raw: {} if raw is None else raw)] = {}
    group: Seconds = 10.0
    """How long a first alert waits for others to go with it."""
    repeat: Annotated[float | None, parsed(values.duration_or_never)] = 43200.0
    """After how long one that lasts is told again; None: never."""
    link: BaseUrl | None = None
    """Where people look; the admin port, where left out."""


class MetricsConfig(Section):
    """How many label values of names that people make up `/metrics` has; any further ones count as `other`."""

    max_models: Annotated[int, Field(ge=1, le=1000)] = 60
    max_teams: Annotated[int, Field(ge=0, le=1000)] = 0
    """0 makes no metrics by team."""


class LedgerConfig(Section):
    """Where budgets and limits are counted: a Redis or Valkey of the operator's when `url` is there, else a file."""

    url: RedisUrl | None = None
    user: Annotated[str, Field(min_length=1)] | None = None
    password: SecretReference | None = None
    tls: TlsConfig = TlsConfig()
    cluster: bool = False
    """Whether `url` is a node of a Redis Cluster."""
    name: Identifier = "taximeter"
    """What its keys begin with: the Taximeters of one name count together."""
    timeout: Seconds = 1.0


class KeysConfig(Section):
    """Virtual keys, which stand for the operator's own at the providers."""

    mode: Literal["passthrough", "virtual", "both"] = "both"
    """`passthrough`: apps send their own provider keys; `virtual`: only virtual ones are taken; `both`: either."""
    pepper: SecretReference | None = None
    """What their hashes are keyed with, 64 hex digits; else it is made at the first start."""


class Config(Section):
    """The whole file."""

    listen: Address = Listen("127.0.0.1", 8484)
    admin: Address = Listen("127.0.0.1", 8485)
    admin_hosts: list[HostName] = []
    """Names besides `localhost` and IP addresses under which the admin port answers."""
    admin_token: SecretReference | None = None
    """What opens the console: wanted as soon as the admin port can be reached from other machines."""
    data_dir: FilePath = "data"
    workers: Annotated[int | None, parsed(values.worker_count)] = None
    builtin_providers: bool = True
    """False leaves only the providers named in the file."""
    providers: Annotated[dict[str, ProviderConfig], BeforeValidator(lambda raw: {} if raw is None else raw)] = {}
    store: StoreConfig = StoreConfig()
    limits: LimitsConfig = LimitsConfig()
    journal: JournalConfig = JournalConfig()
    sinks: SinksConfig = SinksConfig()
    alerts: AlertsConfig = AlertsConfig()
    metrics: MetricsConfig = MetricsConfig()
    prices: list[FilePath] = []
    """Files of prices over those of the product, the last one first; or names of sets that come with the product."""
    ledger: LedgerConfig = LedgerConfig()
    policies: list[FilePath] = ["policies/*.yaml"]
    """Policy files, or globs of them."""
    keys: KeysConfig = KeysConfig()
    semconv: Annotated[Literal["1.41", "genai-dev"], BeforeValidator(_version_text)] = "1.41"
    shutdown_grace: Seconds = 30.0
