"""A checked config -> settings: names are filled in, references are resolved, and what does not fit is reported."""

import os
import re
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path

from proxy.config import values
from proxy.config.alerts import AlertsBuilder
from proxy.config.problems import KeyPath, Report, did_you_mean, dotted
from proxy.config.schema import Config, ProviderConfig, TlsConfig
from proxy.config.sinks import SinksBuilder
from proxy.config.values import SecretRef
from proxy.providers.base import Provider
from proxy.settings import (
    AlertSettings,
    LedgerSettings,
    Listen,
    ProviderKey,
    ProviderSettings,
    Settings,
    SinkSettings,
    StoreSettings,
)

BASE_URL_ENV = {"azure": "AZURE_OPENAI_ENDPOINT"}
"""Provider kinds without a base URL of their own, and the environment variable that names it by their SDK's custom."""

EMBEDDED_USER = "taximeter"
"""The read-write user of the embedded store."""

_PROVIDER_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on
_AUTO_WORKERS = 4
_LONGEST_NAME = 64
_SHORTEST_TOKEN = 16
_PEPPER = re.compile(r"[0-9a-fA-F]{64}")
_EMBEDDED_ONLY = frozenset({"listen", "max_memory_bytes", "max_queries"})


class Builder:
    """Turns one config into settings. `folder` is where relative paths start; mistakes go to `report`.

    Without `provider_keys` nobody looks for them, and they are empty.
    """

    def __init__(
        self, config: Config, *, folder: Path, env: Mapping[str, str], report: Report, provider_keys: bool = True
    ) -> None:
        self._looks_up_keys = provider_keys
        self._config = config
        self._folder = folder
        self._env = env
        self._report = report

    def build(self, kinds: Iterable[Provider], config_file: str | None) -> Settings:
        """The settings; they are only good for use when the report is empty afterwards."""
        config = self._config
        self._check_ports()
        return Settings(
            listen=config.listen,
            admin=config.admin,
            admin_hosts=tuple(config.admin_hosts),
            admin_token=self._admin_token(),
            store=self._store(),
            data_dir=self._data_dir(),
            workers=config.workers or auto_workers(),
            providers=self._providers({provider.kind: provider for provider in kinds}),
            max_request_bytes=config.limits.max_request_bytes,
            max_captured_bytes=config.limits.max_captured_bytes,
            journal_segment_s=config.journal.segment,
            journal_segment_bytes=config.journal.segment_bytes,
            journal_durability=config.journal.durability,
            journal_keep_s=config.journal.keep,
            journal_keep_bytes=config.journal.keep_bytes,
            journal_max_bytes=config.journal.max_bytes,
            journal_min_free_bytes=config.journal.min_free_bytes,
            journal_on_full=config.journal.on_full,
            metrics_max_models=config.metrics.max_models,
            metrics_max_teams=config.metrics.max_teams,
            shutdown_grace_s=config.shutdown_grace,
            sinks=self._sinks(),
            alerts=self._alerts(),
            semconv=config.semconv,
            ledger=self._ledger(),
            price_files=tuple(self._price_file(file, ("prices", index)) for index, file in enumerate(config.prices)),
            policy_files=tuple(str(self._path(file)) for file in config.policies),
            config_file=config_file,
            key_mode=config.keys.mode,
            key_pepper=self._pepper(),
        )

    def _providers(self, kinds: Mapping[str, Provider]) -> tuple[ProviderSettings, ...]:
        built_in = {name: (kind, url) for kind, provider in kinds.items() for name, url in provider.base_urls.items()}
        for kind, variable in BASE_URL_ENV.items():
            if kind in kinds and (url := self._url_from_env(kind, variable)):
                built_in[kind] = (kind, url)
        wanted = {name: ProviderConfig() for name in built_in} if self._config.builtin_providers else {}
        wanted |= self._config.providers
        made = [
            self._provider(name, config, kinds, built_in.get(name)) for name, config in wanted.items() if config.enabled
        ]
        return tuple(provider for provider in made if provider)

    def _provider(
        self, name: str, config: ProviderConfig, kinds: Mapping[str, Provider], known: tuple[str, str] | None
    ) -> ProviderSettings | None:
        path: KeyPath = ("providers", name)
        if not name or not set(name) <= _PROVIDER_NAME_CHARACTERS or name[0] in "._-":
            self._report.add(path, "a provider's name is part of the URL: small letters, digits, and . _ - inside")
        kind = config.kind or (known[0] if known else name if name in kinds else None)
        mistaken = self._report.has(path)
        if kind is None:
            if not mistaken:
                self._report.add(path, f"needs a kind, the provider it behaves like: one of {', '.join(sorted(kinds))}")
            return None
        if kind not in kinds:
            self._report.add((*path, "kind"), f"unknown kind; {did_you_mean(kind, kinds)}")
            return None
        base_url = config.base_url or self._known_url(kind, kinds[kind], known)
        if base_url is None:
            if not mistaken:
                variable = BASE_URL_ENV.get(kind)
                hint = f", here or in the environment variable {variable}" if variable else ""
                self._report.add(path, f"needs a base_url{hint}, such as https://llm.example.com")
            return None
        return ProviderSettings(
            name=name,
            kind=kind,
            base_url=base_url,
            api_key=self._provider_key(config.api_key, (*path, "api_key")),
            api_keys=self._provider_keys(config, path),
            currency=config.currency,
            connect_timeout_s=config.timeouts.connect,
            first_byte_timeout_s=config.timeouts.first_byte,
            idle_timeout_s=config.timeouts.idle,
            tls_verify=config.tls.verify,
            tls_ca_file=self._ca_file(config.tls, (*path, "tls", "ca_file")),
            inject_usage=config.inject_usage,
            traceparent=config.traceparent,
            max_connections=config.max_connections,
        )

    def _provider_key(self, ref: SecretRef | None, path: KeyPath) -> str | None:
        return self._secret(ref, path) if ref is None or self._looks_up_keys else ""

    def _provider_keys(self, config: ProviderConfig, path: KeyPath) -> tuple[ProviderKey, ...]:
        if config.api_keys and config.api_key:
            self._report.add((*path, "api_keys"), "takes the place of api_key; remove one of them")
        made: dict[str, ProviderKey] = {}
        for index, one in enumerate(config.api_keys):
            where = (*path, "api_keys", index)
            if one.key is None:
                if not self._report.has(where):
                    self._report.add(where, "needs a key, such as {key: env:OPENAI_API_KEY, weight: 1}")
                continue
            secret, name = (
                self._provider_key(one.key, (*where, "key")),
                one.name or Path(one.key.name).name[:_LONGEST_NAME],
            )
            if name in made:
                self._report.add(where, "stands twice; give each key a name of its own")
            elif secret is not None:
                made[name] = ProviderKey(name=name, key=secret, weight=one.weight)
        return tuple(made.values())

    def _known_url(self, kind: str, provider: Provider, known: tuple[str, str] | None) -> str | None:
        """The built-in base URL of the name, else that of the kind (a second account at the same provider)."""
        if known and known[0] == kind:
            return known[1]
        if kind in BASE_URL_ENV:
            return self._url_from_env(kind, BASE_URL_ENV[kind])
        return provider.base_urls.get(kind)

    def _url_from_env(self, kind: str, variable: str) -> str | None:
        raw = self._env.get(variable)
        overruled = self._config.providers.get(kind)
        if not raw or (overruled and (overruled.base_url or not overruled.enabled)):
            return None
        try:
            return values.base_url(raw.strip())
        except ValueError as error:
            problem = f"environment variable {variable} {error}"
            if all(problem != seen.what for seen in self._report.problems):
                self._report.add((), problem)
            return None

    def _store(self) -> StoreSettings:
        store = self._config.store
        password = self._secret(store.password, ("store", "password"))
        reader_password = self._secret(store.reader.password, ("store", "reader", "password"))
        ca_file = self._ca_file(store.tls, ("store", "tls", "ca_file"))
        if store.url is None:
            if store.cluster:
                self._report.add(("store", "cluster"), "needs store.url: the embedded store is no cluster")
            return StoreSettings(
                url=store.listen.url,
                user=store.user or EMBEDDED_USER,
                password=password or "",
                database=store.database,
                embedded=True,
                reader_user=store.reader.user or "reader",
                reader_password=reader_password or "",
                max_memory_bytes=store.max_memory_bytes or 0,
                max_queries=store.max_queries,
                retention=dict(store.retention),
                self_check_hour=store.self_check_hour,
            )
        for key in sorted(_EMBEDDED_ONLY & store.model_fields_set):
            self._report.add(("store", key), "belongs to the embedded store; remove it or store.url")
        user = store.user or "default"
        return StoreSettings(
            url=store.url,
            user=user,
            password=password or "",
            database=store.database,
            embedded=False,
            reader_user=store.reader.user or user,
            reader_password=(reader_password if store.reader.user else password) or "",
            tls_verify=store.tls.verify,
            tls_ca_file=ca_file,
            cluster=store.cluster,
            retention=dict(store.retention),
            self_check_hour=store.self_check_hour,
        )

    def _sinks(self) -> SinkSettings:
        builder = SinksBuilder(
            self._config.sinks, env=self._env, report=self._report, secret=self._secret, readable=self._readable
        )
        return builder.build()

    def _alerts(self) -> AlertSettings:
        return AlertsBuilder(
            self._config.alerts, report=self._report, secret=self._secret, readable=self._readable
        ).build()

    def _ledger(self) -> LedgerSettings:
        ledger = self._config.ledger
        if ledger.url is None and ledger.model_fields_set - {"url"}:
            self._report.add(("ledger",), "needs a url, such as redis://127.0.0.1:6379: without one it is a file")
        return LedgerSettings(
            url=ledger.url,
            user=ledger.user,
            password=self._secret(ledger.password, ("ledger", "password")),
            tls_verify=ledger.tls.verify,
            tls_ca_file=self._ca_file(ledger.tls, ("ledger", "tls", "ca_file")),
            cluster=ledger.cluster,
            name=ledger.name,
            timeout_s=ledger.timeout,
        )

    def _check_ports(self) -> None:
        config = self._config
        used: list[tuple[KeyPath, Listen]] = [(("listen",), config.listen), (("admin",), config.admin)]
        if config.store.url is None:
            used.append((("store", "listen"), config.store.listen))
        for index, (path, address) in enumerate(used):
            for other_path, other in used[:index]:
                if address.port and address.port == other.port and _hosts_overlap(address.host, other.host):
                    shown = path if path in self._report.places else other_path
                    names = f"{dotted(other_path)} and {dotted(path)}"
                    self._report.add(shown, f"{names} clash on port {address.port}; choose another port")

    def _data_dir(self) -> Path:
        path = self._path(self._config.data_dir)
        nearest = next((folder for folder in (path, *path.parents) if folder.exists()), path)
        if not nearest.is_dir():
            self._report.add(("data_dir",), "must be a folder; a file stands in its way")
        elif not os.access(nearest, os.W_OK | os.X_OK):
            self._report.add(("data_dir",), f"must be a folder that can be written to; {nearest} cannot")
        return path

    def _admin_token(self) -> str:
        token = self._secret(self._config.admin_token, ("admin_token",)) or ""
        if token and len(token) < _SHORTEST_TOKEN:
            self._report.add(("admin_token",), f"must have at least {_SHORTEST_TOKEN} characters: anybody may try")
        return token

    def _pepper(self) -> str:
        pepper = self._secret(self._config.keys.pepper, ("keys", "pepper")) or ""
        if pepper and not _PEPPER.fullmatch(pepper):
            self._report.add(("keys", "pepper"), "must be 64 hex digits, as `openssl rand -hex 32` makes them")
            return ""
        return pepper

    def _secret(self, ref: SecretRef | None, path: KeyPath) -> str | None:
        """The secret behind a reference. Neither it nor what may be it by mistake gets into a message."""
        if ref is None:
            return None
        if ref.source == "env":
            secret = self._env.get(ref.name, "").strip()
            if not secret:
                name = ref.name if ref.name.isupper() else "named here"
                self._report.add(path, f"the environment variable {name} is not set")
                return None
        else:
            try:
                secret = self._path(ref.name).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
                why = why[0].lower() + why[1:]
                self._report.add(path, f"the file named here cannot be read: {why}; paths start at {self._folder}")
                return None
            if not secret:
                self._report.add(path, "the file named here is empty; it should hold the secret alone")
                return None
        if not (secret.isascii() and secret.isprintable()):
            self._report.add(path, "the secret found holds line breaks or characters that no header can carry")
            return None
        return secret

    def _price_file(self, name: str, path: KeyPath) -> str:
        """A file, or a bare word: the name of a set of prices, which only the price room can tell from a mistake."""
        bare = re.fullmatch(r"[a-z][a-z0-9-]*", name) and not self._path(name).exists()
        return name if bare else self._readable(name, path)

    def _ca_file(self, tls: TlsConfig, path: KeyPath) -> str | None:
        if tls.ca_file is None:
            return None
        file = self._readable(tls.ca_file, path)
        if not self._report.has(path):
            try:
                ssl.create_default_context(cafile=file)
            except (ssl.SSLError, OSError):
                self._report.add(path, "must be a file of certificates in PEM form (BEGIN CERTIFICATE)")
        return file

    def _readable(self, name: str, path: KeyPath) -> str:
        file = self._path(name)
        if not file.is_file():
            self._report.add(path, f"there is no such file; paths start at {self._folder}")
        elif not os.access(file, os.R_OK):
            self._report.add(path, "the file cannot be read by this user")
        return str(file)

    def _path(self, name: str) -> Path:
        return (self._folder / Path(name).expanduser()).absolute()


def auto_workers() -> int:
    """Workers when nobody says how many: half of the processors, for the recorder and the store need theirs; 1 to 4."""
    return max(1, min(_AUTO_WORKERS, (os.cpu_count() or 1) // 2))


def _hosts_overlap(one: str, other: str) -> bool:
    loopback = {"localhost", "127.0.0.1", "::1"}
    return one == other or bool({one, other} & _WILDCARDS) or ({one, other} <= loopback and "localhost" in {one, other})
