import pytest

from proxy.config.build import auto_workers
from tests.fakes.config_files import kinds, load, said


def provider(settings, name):
    return next(p for p in settings.providers if p.name == name)


def test_no_file_gives_every_built_in_provider(tmp_path):
    settings = load(tmp_path, None)
    assert [p.name for p in settings.providers] == ["minimax", "minimax-cn", "openai"]
    assert provider(settings, "minimax-cn").base_url == "https://api.minimaxi.com"
    assert all(p.api_key is None for p in settings.providers)
    assert settings.data_dir == tmp_path / "data"
    assert settings.store.embedded
    assert settings.store.url == "http://127.0.0.1:8486"
    assert settings.workers == auto_workers()


def test_azure_takes_its_base_url_from_the_environment(tmp_path):
    settings = load(tmp_path, None, {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/"})
    assert provider(settings, "azure").base_url == "https://me.openai.azure.com"


def test_a_bad_url_in_the_environment_is_named_without_its_value(tmp_path):
    (message,) = said(tmp_path, None, {"AZURE_OPENAI_ENDPOINT": "me.openai.example"})
    assert message == "environment: environment variable AZURE_OPENAI_ENDPOINT must begin with https:// or http://"


def test_azure_in_a_file_overrules_the_environment(tmp_path):
    text = "providers:\n  azure:\n    base_url: https://two.example\n"
    settings = load(tmp_path, text, {"AZURE_OPENAI_ENDPOINT": "nonsense"})
    assert provider(settings, "azure").base_url == "https://two.example"


def test_azure_without_base_url_says_both_ways(tmp_path):
    (message,) = said(tmp_path, "providers:\n  azure: {}\n")
    assert "AZURE_OPENAI_ENDPOINT" in message
    assert message.startswith("taximeter.yaml:2: providers.azure: needs a base_url")


def test_a_named_provider_overlays_the_built_in_one(tmp_path):
    text = "providers:\n  minimax:\n    api_key: env:KEY\n    timeouts: {connect: 2s}\n    traceparent: false\n"
    made = provider(load(tmp_path, text, {"KEY": "sk-1"}), "minimax")
    assert made.base_url == "https://api.minimax.io"
    assert made.api_key == "sk-1"
    assert made.connect_timeout_s == 2.0
    assert made.first_byte_timeout_s == 600.0
    assert not made.traceparent


def test_a_second_account_takes_the_url_of_its_kind(tmp_path):
    made = provider(load(tmp_path, "providers:\n  team-b: {kind: openai}\n"), "team-b")
    assert made.base_url == "https://api.openai.com"


def test_any_other_host_by_config(tmp_path):
    text = "providers:\n  mine: {kind: openai, base_url: 'http://10.0.0.7:8000/v1/'}\n"
    assert provider(load(tmp_path, text), "mine").base_url == "http://10.0.0.7:8000/v1"


def test_providers_can_be_switched_off(tmp_path):
    assert [p.name for p in load(tmp_path, "providers:\n  openai: {enabled: false}\n").providers] == [
        "minimax",
        "minimax-cn",
    ]
    text = "builtin_providers: false\nproviders:\n  openai:\n"
    assert [p.name for p in load(tmp_path, text).providers] == ["openai"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("foo: {}", "needs a kind, the provider it behaves like: one of azure, minimax, openai"),
        ("foo: {kind: minmax}", "providers.foo.kind: unknown kind; did you mean minimax?"),
        ("foo: {kind: azure}", "needs a base_url"),
        ("Foo Bar: {kind: openai}", "part of the URL"),
        ("a/b: {kind: openai}", "part of the URL"),
        ("foo: {kind: openai, api_key: 'env:NOT_THERE'}", "the environment variable NOT_THERE is not set"),
        ("foo: {kind: openai, api_key: 'env:lowercase9'}", "the environment variable named here is not set"),
        ("foo: {kind: openai, api_key: 'file:none'}", "cannot be read: no such file"),
        ("foo: {kind: openai, tls: {ca_file: none.pem}}", "there is no such file"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, entry, words):
    (message,) = said(tmp_path, f"providers:\n  {entry}\n")
    assert message.startswith("taximeter.yaml:2: providers.")
    assert words in message


def test_an_unknown_key_brings_no_second_message_about_what_is_then_missing(tmp_path):
    messages = said(tmp_path, "providers:\n  foo:\n    kind: azure\n    base_ulr: https://x\n")
    assert messages == ["taximeter.yaml:4: providers.foo.base_ulr: unknown key; did you mean base_url?"]


def test_a_key_from_a_file_is_taken_without_its_line_end(tmp_path):
    (tmp_path / "key").write_text("sk-from-file\n")
    text = "providers:\n  openai: {api_key: {file: key}}\n"
    assert provider(load(tmp_path, text), "openai").api_key == "sk-from-file"


@pytest.mark.parametrize("content", ["", " \n", "two\nlines", "caf\u00e9", "nul\x00"])
def test_a_file_that_holds_no_usable_key_is_refused_and_not_repeated(tmp_path, content):
    (tmp_path / "key").write_text(content)
    (message,) = said(tmp_path, "providers:\n  openai: {api_key: 'file:key'}\n")
    assert "caf" not in message
    assert "lines" not in message.replace("line breaks", "")
    assert "secret" in message


def test_a_ca_file_must_hold_certificates(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    (message,) = said(tmp_path, "providers:\n  openai: {tls: {ca_file: ca.pem}}\n")
    assert "PEM" in message


def test_price_files_must_be_there(tmp_path):
    (tmp_path / "a.yaml").write_text("")
    (message,) = said(tmp_path, "prices:\n  - a.yaml\n  - b.yaml\n")
    assert message == f"taximeter.yaml:3: prices[1]: there is no such file; paths start at {tmp_path}"
    assert load(tmp_path, "prices: [a.yaml]\n").price_files == (str(tmp_path / "a.yaml"),)


def test_a_bare_word_among_the_prices_is_the_name_of_a_set(tmp_path):
    assert load(tmp_path, "prices: [seed-page]\n").price_files == ("seed-page",)


def test_the_journal_keeps_what_it_is_told(tmp_path):
    settings = load(tmp_path, "journal: {durability: strict, keep: 0, keep_bytes: 1GiB, segment: 250ms}\n")
    assert (settings.journal_durability, settings.journal_keep_s) == ("strict", 0.0)
    assert (settings.journal_keep_bytes, settings.journal_segment_s) == (2**30, 0.25)


def test_metrics_have_as_many_labels_as_they_are_told(tmp_path):
    settings = load(tmp_path, None)
    assert (settings.metrics_max_models, settings.metrics_max_teams) == (60, 0)
    settings = load(tmp_path, "metrics: {max_models: 7, max_teams: 9}\n")
    assert (settings.metrics_max_models, settings.metrics_max_teams) == (7, 9)


def test_the_journal_is_bounded_and_may_be_bounded_otherwise(tmp_path):
    settings = load(tmp_path, "workers: 1\n")
    assert (settings.journal_max_bytes, settings.journal_min_free_bytes) == (4 * 2**30, 256 * 2**20)
    assert settings.journal_on_full == "pass"
    settings = load(tmp_path, "journal: {max_bytes: 1GiB, min_free_bytes: 5MiB, on_full: refuse}\n")
    assert (settings.journal_max_bytes, settings.journal_min_free_bytes) == (2**30, 5 * 2**20)
    assert settings.journal_on_full == "refuse"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("admin: 8484\n", "taximeter.yaml:1: admin: listen and admin clash on port 8484; choose another port"),
        (
            "listen: 127.0.0.1:8485\n",
            "taximeter.yaml:1: listen: listen and admin clash on port 8485; choose another port",
        ),
        (
            "listen: 0.0.0.0:9000\nstore:\n  listen: 127.0.0.1:9000\n",
            "taximeter.yaml:3: store.listen: listen and store.listen clash on port 9000; choose another port",
        ),
    ],
)
def test_ports_that_clash_are_named(tmp_path, text, message):
    assert said(tmp_path, text) == [message]


def test_equal_ports_of_different_addresses_and_free_ports_do_not_clash(tmp_path):
    assert load(tmp_path, "listen: 127.0.0.1:9000\nadmin: 127.0.0.2:9000\n").admin.port == 9000
    assert load(tmp_path, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n").admin.port == 0


def test_the_embedded_store_port_is_free_when_a_real_store_is_configured(tmp_path):
    text = "listen: 127.0.0.1:8486\nstore: {url: 'https://ch.example:8443'}\n"
    assert not load(tmp_path, text).store.embedded


def test_a_real_store_reads_as_its_one_user_unless_a_reader_is_given(tmp_path):
    text = "store:\n  url: https://ch.example:8443\n  user: meter\n  password: env:PW\n"
    store = load(tmp_path, text, {"PW": "x1"}).store
    assert (store.user, store.password, store.reader_user, store.reader_password) == ("meter", "x1", "meter", "x1")
    store = load(tmp_path, f"{text}  reader: {{user: eyes}}\n", {"PW": "x1"}).store
    assert (store.reader_user, store.reader_password) == ("eyes", "")


def test_listen_of_the_embedded_store_beside_a_url_is_refused(tmp_path):
    (message,) = said(tmp_path, "store:\n  url: https://ch.example\n  listen: 127.0.0.1:1\n")
    assert message.startswith("taximeter.yaml:3: store.listen: belongs to the embedded store")


def test_the_embedded_store_takes_its_limits(tmp_path):
    store = load(tmp_path, "store: {max_memory_bytes: 2GiB, max_queries: 3}\n").store
    assert (store.max_memory_bytes, store.max_queries) == (2 * 2**30, 3)
    assert load(tmp_path, None).store.max_memory_bytes == 0


def test_a_store_takes_its_cluster_its_retention_and_the_hour_of_its_check(tmp_path):
    text = (
        "store:\n  url: https://ch.example\n  cluster: two_by_two\n"
        "  retention: {calls: 400d, attempts: never}\n  self_check_hour: never\n"
    )
    store = load(tmp_path, text).store
    assert (store.cluster, store.retention) == ("two_by_two", {"calls": 400, "attempts": None})
    assert store.self_check_hour is None
    assert load(tmp_path, "store: {retention: {calls: 30d}, self_check_hour: 5}\n").store.retention == {"calls": 30}
    bare = load(tmp_path, None).store
    assert (bare.cluster, bare.retention, bare.self_check_hour) == (None, {}, 3)


def test_the_embedded_store_is_no_cluster(tmp_path):
    (message,) = said(tmp_path, "store:\n  cluster: c\n")
    assert message == "taximeter.yaml:2: store.cluster: needs store.url: the embedded store is no cluster"


def test_data_dir_starts_at_the_folder_of_the_file(tmp_path):
    assert load(tmp_path, "data_dir: ./d\n").data_dir == tmp_path / "d"
    assert load(tmp_path, "data_dir: /abs/d\n").data_dir.is_absolute()


def test_a_file_in_the_way_of_the_data_folder_is_named(tmp_path):
    (tmp_path / "d").write_text("")
    (message,) = said(tmp_path, "data_dir: d/e\n")
    assert message.startswith("taximeter.yaml:1: data_dir: must be a folder")


def test_no_secret_shows_when_settings_are_printed(tmp_path):
    text = "providers:\n  openai: {api_key: 'env:K'}\nstore: {password: 'env:P', reader: {password: 'env:P'}}\n"
    text += "keys: {pepper: env:X}\n"
    shown = repr(load(tmp_path, text, {"K": "sk-hidden-1", "P": "pw-hidden-2", "X": "ab" * 32}))
    assert "ab" * 32 not in shown
    assert "openai" in shown
    assert "hidden" not in shown


def test_the_admin_token_is_a_reference_and_not_short(tmp_path):
    assert load(tmp_path, None).admin_token == ""
    settings = load(tmp_path, "admin_token: env:T\n", {"T": "a-token-of-16-chars"})
    assert settings.admin_token == "a-token-of-16-chars"
    assert "a-token" not in repr(settings)
    (message,) = said(tmp_path, "admin_token: env:T\n", {"T": "short"})
    assert message.startswith("taximeter.yaml:1: admin_token: must have at least 16 characters")
    assert "short" not in message


def test_the_kinds_of_the_test_are_those_asked_for():
    assert {kind.kind for kind in kinds()} == {"azure", "minimax", "openai"}


def test_the_ledger_is_a_file_unless_a_redis_is_named(tmp_path):
    ledger = load(tmp_path, None).ledger
    assert (ledger.url, ledger.name) == (None, "taximeter")

    (tmp_path / "secret").write_text("pw\n")
    text = "ledger: {url: 'redis://r.example', user: me, password: 'file:secret', timeout: 250ms, name: acc}\n"
    ledger = load(tmp_path, text).ledger

    assert (ledger.url, ledger.user, ledger.password) == ("redis://r.example:6379/0", "me", "pw")
    assert (ledger.timeout_s, ledger.name, ledger.cluster) == (0.25, "acc", False)
    assert "pw" not in repr(ledger)


def test_keys_of_a_redis_without_its_url_are_a_mistake(tmp_path):
    (message,) = said(tmp_path, "ledger: {name: acc}\n")
    assert message.startswith("taximeter.yaml:1: ledger: needs a url")
