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
    """To a connection: the wait for a free place, and TLS, included."""
    first_byte: Seconds = 600.0
    """From the whole request to the first byte of the answer; then the app gets 504."""
    idle: Seconds = 300.0
    """Between two pieces of an answer; then the app's connection breaks off."""


class TlsConfig(Section):
    """How a server's certificate is checked."""

    verify: bool = True
    """False takes any certificate."""
    ca_file: FilePath | None = None
    """Authorities to trust, in PEM form, in place of the system's."""


class ProviderKeyConfig(Section):
    """One of several keys of the operator's at a provider."""

    key: SecretReference | None = None
    """Where the key is to be found."""
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    """Its share of the calls, against the weights of the others."""
    name: Annotated[str, parsed(values.key_name)] | None = None
    """What it is called in records; else the name of its variable or file."""


class ProviderConfig(Section):
    """One upstream. The name of a built-in provider brings its kind and base URL along."""

    enabled: bool = True
    """False takes a provider away, a built-in one too."""
    kind: str | None = None
    """The provider that it behaves like; a built-in name brings its own."""
    base_url: BaseUrl | None = None
    """Scheme, host, port and path prefix; a built-in name or its kind brings one along."""
    api_key: SecretReference | None = None
    """The operator's key, sent in place of the app's; left out, the app's own key passes through."""
    api_keys: list[ProviderKeyConfig] = []
    """Several, in place of `api_key`: calls are shared out by weight, around keys that are refused or slowed down."""
    timeouts: TimeoutsConfig = TimeoutsConfig()
    """How long to wait for it."""
    tls: TlsConfig = TlsConfig()
    """How its certificate is checked."""
    inject_usage: bool | None = None
    """Ask for usage in OpenAI-style streams that come without, unseen by the app; left out: as its kind allows."""
    traceparent: bool = True
    """Send W3C trace context along."""
    currency: Currency | None = None
    """What its bills are in; left out, what is known of its host."""
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Connections to it that each worker has open at most."""


class ReaderConfig(Section):
    """The store's read-only user, for reports, dashboards and `taximeter sql`."""

    user: Annotated[str, Field(min_length=1)] | None = None
    """Its name; left out, `reader` in the embedded store and `store.user` in a ClickHouse of your own."""
    password: SecretReference | None = None
    """Its password; the embedded store makes one where none is given."""


class StoreConfig(Section):
    """A ClickHouse of the operator's when `url` is there, else the embedded store."""

    url: BaseUrl | None = None
    """The ClickHouse HTTP interface of a server of your own; left out, the embedded store is started."""
    user: Annotated[str, Field(min_length=1)] | None = None
    """Who writes; left out, `taximeter` in the embedded store and `default` in a ClickHouse of your own."""
    password: SecretReference | None = None
    """The writer's password; the embedded store makes one where none is given."""
    database: Identifier = "taximeter"
    """The database of the tables; it is made where it is missing."""
    reader: ReaderConfig = ReaderConfig()
    """Who reads."""
    tls: TlsConfig = TlsConfig()
    """How the certificate at `url` is checked."""
    listen: Address = Listen("127.0.0.1", 8486)
    """Where the embedded store answers ClickHouse clients."""
    max_memory_bytes: SizeBytes | None = None
    """What the embedded engine may hold; left out, a quarter of the machine or container, from 1 to 4 GiB."""
    max_queries: Annotated[int, Field(ge=1, le=1000)] = 8
    """How many queries the embedded store runs at once; more of them wait."""
    cluster: Identifier | None = None
    """Name of the cluster, as the server's `remote_servers` has it, that the tables are spread over."""
    retention: dict[Identifier, Annotated[int | None, parsed(values.retention_days)]] = {}
    """How long the rows of each table are kept; `never` is for ever, and a table that is not named is left as it is."""
    self_check_hour: Annotated[int | None, parsed(values.hour_of_day)] = 3
    """When, in UTC, the recorder looks each night for doubled rows and drifted sums; or `never`."""


class LimitsConfig(Section):
    """Bounds of memory."""

    max_request_bytes: SizeBytes = 256 * 1024 * 1024
    """A larger request body is refused with 413 where it has to be held; one that streams through has no limit."""
    max_captured_bytes: SizeBytes = 32 * 1024 * 1024
    """How much of one whole answer is kept for metering; a larger one passes unmetered, and is counted as such."""


class JournalConfig(Section):
    """How the records of calls are kept until, and after, they are shipped."""

    segment: Seconds = 1.0
    """How often a piece of the journal is closed, and goes to the sinks."""
    segment_bytes: SizeBytes = 8 * 1024 * 1024
    """How large such a piece gets at most."""
    durability: Literal["fast", "group", "strict"] = "group"
    """`fast` survives the death of a process, `group` that of the machine but for a moment, `strict` that too."""
    keep: Annotated[float, parsed(values.retention_s)] = 86400.0
    """How long shipped segments are kept; 0 keeps none."""
    keep_bytes: SizeBytes = 512 * 1024 * 1024
    """How large all kept segments may be together; the oldest hours go first."""
    max_bytes: SizeBytes = 4 * 1024**3
    """What may wait for a sink, of all workers together."""
    min_free_bytes: SizeBytes = 256 * 1024 * 1024
    """What is left free of the file system."""
    on_full: Literal["pass", "refuse"] = "pass"
    """`pass` lets calls go on unrecorded when there is no room, `refuse` answers them with 503; both are counted."""


class ClientTlsConfig(Section):
    """How a receiver's certificate is checked, and our own where it asks for one."""

    ca_file: FilePath | None = None
    """Authorities to trust, in PEM form, in place of the system's."""
    cert_file: FilePath | None = None
    """Our own certificate, in PEM form."""
    key_file: FilePath | None = None
    """Its key; left out, it stands in `cert_file`."""


class OtlpConfig(Section):
    """Spans and metrics over OTLP. What is left out is taken from the `OTEL_` variables of the environment."""

    enabled: bool = True
    """False turns it off, whatever the environment says."""
    endpoint: BaseUrl | None = None
    """The base that both signals share: over HTTP `/v1/traces` and `/v1/metrics` are added."""
    protocol: Literal["http/protobuf", "grpc"] | None = None
    """How they are sent; `http/protobuf` where nothing says otherwise."""
    headers: dict[HeaderName, HeaderValue] = {}
    """Headers of each request; one that is a credential by its name has to be a reference."""
    compression: Literal["gzip", "none"] | None = None
    """`gzip` where nothing says otherwise."""
    timeout: Seconds | None = None
    """For one request; 10s where nothing says otherwise."""
    tls: ClientTlsConfig = ClientTlsConfig()
    """Certificates of both sides."""
    traces: Literal["sampled", "all", "none"] | None = None
    """`sampled`: as the app's `traceparent` says; `all`: those too that the app did not sample."""
    metrics: Literal["cumulative", "delta", "none"] | None = None
    """How sums are counted; `cumulative` where nothing says otherwise."""
    metrics_interval: Seconds | None = None
    """How often metrics go out; 60s where nothing says otherwise."""
    service_name: Annotated[str, Field(min_length=1)] | None = None
    """The resource's `service.name`; `taximeter` where nothing says otherwise."""
    resource: dict[str, str] = {}
    """Further attributes of who sends."""


class WebhookTlsConfig(Section):
    """How a receiver's certificate is checked."""

    ca_file: FilePath | None = None
    """Authorities to trust, in PEM form, in place of the system's."""


class WebhookConfig(Section):
    """One receiver of call records, under a name that its place in the journal is kept by."""

    url: WebUrl | None = None
    """Where records are posted to. Needed."""
    secret: SecretReference | None = None
    """What the messages are signed with, 24 characters or more. Needed."""
    only: Literal["all", "errors"] = "all"
    """Which calls: all, or those that did not end well."""
    timeout: Seconds = 15.0
    """For one request."""
    tls: WebhookTlsConfig = WebhookTlsConfig()
    """How the receiver's certificate is checked."""


class SinksConfig(Section):
    """Where calls go besides the store."""

    otlp: OtlpConfig = OtlpConfig()
    """Spans and metrics over OTLP."""
    webhooks: Annotated[dict[str, WebhookConfig], BeforeValidator(lambda raw: {} if raw is None else raw)] = {}
    """Receivers of call records, by name."""


class AlertChannelConfig(Section):
    """One place that alerts go to; which keys it has depends on its kind."""

    kind: Literal["webhook", "slack", "email"] | None = None
    """What it is. Needed."""
    severity: Literal["info", "warning", "critical"] = "warning"
    """The mildest that it gets."""
    url: WebUrl | None = None
    """Where alerts are posted to. Needed for webhook and slack."""
    secret: SecretReference | None = None
    """What the messages of a webhook are signed with, 24 characters or more. Needed there."""
    host: HostName | None = None
    """The mail server. Needed for email."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The mail server's port; left out: 587 for starttls, 465 for tls, 25 for none."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How mail is secured; a server that offers no STARTTLS is then not written to."""
    user: Annotated[str, Field(min_length=1)] | None = None
    """Who logs in at the mail server."""
    password: SecretReference | None = None
    """The password of that user."""
    sender: str | None = None
    """The bare address that mail comes from. Needed for email."""
    to: list[str] = []
    """The bare addresses that mail goes to. Needed for email."""
    timeout: Seconds = 15.0
    """For one message."""
    tls: WebhookTlsConfig = WebhookTlsConfig()
    """How the receiver's certificate is checked."""


class AlertsConfig(Section):
    """Who hears of thresholds, refusals, forecasts, losses and drift."""

    channels: Annotated[dict[str, AlertChannelConfig], BeforeValidator(lambda raw: {} if raw is None else raw)] = {}
    """Places that alerts go to, by name; without any, nothing is looked for."""
    group: Seconds = 10.0
    """How long a first alert waits for others to go with it."""
    repeat: Annotated[float | None, parsed(values.duration_or_never)] = 43200.0
    """After how long one that lasts is told again; or `never`."""
    link: BaseUrl | None = None
    """Where people look; the admin port, where left out."""


class MetricsConfig(Section):
    """How many label values of names that people make up `/metrics` has; any further ones count as `other`."""

    max_models: Annotated[int, Field(ge=1, le=1000)] = 60
    """How many pairs of provider and model have label values of their own."""
    max_teams: Annotated[int, Field(ge=0, le=1000)] = 0
    """0 makes no metrics by team."""


class LedgerConfig(Section):
    """Where budgets and limits are counted: a Redis or Valkey of the operator's when `url` is there, else a file."""

    url: RedisUrl | None = None
    """Redis or Valkey, `redis://` or with TLS `rediss://`; left out, a file in `data_dir`."""
    user: Annotated[str, Field(min_length=1)] | None = None
    """Who logs in there."""
    password: SecretReference | None = None
    """The password of that user."""
    tls: TlsConfig = TlsConfig()
    """How the certificate of a `rediss://` server is checked."""
    cluster: bool = False
    """Whether `url` is a node of a Redis Cluster."""
    name: Identifier = "taximeter"
    """What its keys begin with: the Taximeters of one name count together."""
    timeout: Seconds = 1.0
    """For one question; what calls get then is `when_ledger_unavailable` of each policy."""


class KeysConfig(Section):
    """Virtual keys, which stand for the operator's own at the providers."""

    mode: Literal["passthrough", "virtual", "both"] = "both"
    """`passthrough`: apps send their own provider keys; `virtual`: only virtual ones are taken; `both`: either."""
    pepper: SecretReference | None = None
    """What their hashes are keyed with, 64 hex digits; else it is made at the first start."""


class Config(Section):
    """The whole file."""

    listen: Address = Listen("127.0.0.1", 8484)
    """Where apps reach the proxy."""
    admin: Address = Listen("127.0.0.1", 8485)
    """Where health, status, metrics, reports and the console are."""
    admin_hosts: list[HostName] = []
    """Names besides `localhost` and IP addresses under which the admin port answers."""
    admin_token: SecretReference | None = None
    """What opens the console: wanted as soon as the admin port can be reached from other machines."""
    data_dir: FilePath = "data"
    """Journal, embedded store and state. One Taximeter per folder."""
    workers: Annotated[int | None, parsed(values.worker_count)] = None
    """Processes that carry calls; `auto` is half of the processors, 1 to 4."""
    builtin_providers: bool = True
    """False leaves only the providers named in the file."""
    providers: Annotated[dict[str, ProviderConfig], BeforeValidator(lambda raw: {} if raw is None else raw)] = {}
    """Upstreams by the name that is the first segment of a call's path."""
    store: StoreConfig = StoreConfig()
    """Where the rows go."""
    limits: LimitsConfig = LimitsConfig()
    """Bounds of memory."""
    journal: JournalConfig = JournalConfig()
    """How records wait for delivery."""
    sinks: SinksConfig = SinksConfig()
    """Where calls go besides the store."""
    alerts: AlertsConfig = AlertsConfig()
    """Who is told what is the matter."""
    metrics: MetricsConfig = MetricsConfig()
    """Bounds of `/metrics`."""
    prices: list[FilePath] = []
    """Files of prices over those of the product, the last one first; or names of sets that come with the product."""
    ledger: LedgerConfig = LedgerConfig()
    """Where budgets and limits are counted."""
    policies: list[FilePath] = ["policies/*.yaml"]
    """Policy files, or globs of them."""
    keys: KeysConfig = KeysConfig()
    """Virtual keys."""
    semconv: Annotated[Literal["1.41", "genai-dev"], BeforeValidator(_version_text)] = "1.41"
    """Version of the OpenTelemetry GenAI conventions in trace views, spans and metrics."""
    shutdown_grace: Seconds = 30.0
    """How long calls under way may go on when it is told to stop."""
