import subprocess

import pytest

from tests.fakes.config_files import load, said

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://env:4318"}
SECRET = "a-secret-of-32-characters-at-all"


def otlp(tmp_path, text, env=None):
    return load(tmp_path, text, env).sinks.otlp


def yaml(*lines):
    return "\n".join(["sinks:", "  otlp:", *(f"    {line}" for line in lines)]) + "\n"


def test_without_an_endpoint_there_is_no_otlp(tmp_path):
    assert otlp(tmp_path, None) is None
    assert otlp(tmp_path, "sinks: {}\n") is None


def test_an_endpoint_in_the_file_turns_it_on(tmp_path):
    made = otlp(tmp_path, yaml("endpoint: http://c:4318/"))
    assert made.enabled_by == "sinks.otlp.endpoint"
    assert made.traces.endpoint == "http://c:4318/v1/traces"
    assert made.metrics.endpoint == "http://c:4318/v1/metrics"
    assert (made.traces.protocol, made.traces.compression, made.traces.timeout_s) == ("http/protobuf", "gzip", 10.0)
    assert made.temporality == "cumulative"
    assert not made.unsampled_too


def test_an_endpoint_in_the_environment_turns_it_on(tmp_path):
    made = otlp(tmp_path, None, ENDPOINT)
    assert made.enabled_by == "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert made.traces.endpoint == "http://env:4318/v1/traces"


def test_an_endpoint_of_one_signal_turns_on_that_one(tmp_path):
    made = otlp(tmp_path, None, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m:1/v1/metrics"})
    assert made.traces is None
    assert made.metrics.endpoint == "http://m:1/v1/metrics"


@pytest.mark.parametrize(
    ("text", "env"),
    [
        ("sinks: {otlp: {enabled: false, endpoint: 'http://c:4318'}}\n", ENDPOINT),
        (None, ENDPOINT | {"OTEL_SDK_DISABLED": "true"}),
        (None, ENDPOINT | {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}),
        ("sinks: {otlp: {traces: none, metrics: none}}\n", ENDPOINT),
    ],
)
def test_it_can_be_turned_off_in_each_of_these_ways(tmp_path, text, env):
    assert otlp(tmp_path, text, env) is None
    assert said(tmp_path, text, env) == []


def test_keys_without_an_endpoint_are_a_mistake(tmp_path):
    (message,) = said(tmp_path, yaml("traces: all"))
    assert message.startswith("taximeter.yaml:2: sinks.otlp: needs an endpoint, here or in the environment variable")


def test_the_file_wins_over_the_environment_key_by_key(tmp_path):
    env = ENDPOINT | {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-env=1",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3000",
        "OTEL_SERVICE_NAME": "env-name",
        "OTEL_RESOURCE_ATTRIBUTES": "a=env,b=env",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
    }
    from_env = otlp(tmp_path, None, env)
    assert from_env.traces.protocol == "grpc"
    assert from_env.traces.endpoint == "http://env:4318"
    assert from_env.traces.headers == {"x-env": "1"}
    assert from_env.traces.timeout_s == 3.0
    assert from_env.temporality == "delta"
    assert from_env.resource == {"service.name": "env-name", "a": "env", "b": "env"}

    text = yaml(
        "endpoint: http://file:4318",
        "protocol: http/protobuf",
        "headers: {X-Scope-OrgID: tenant, authorization: env:TOKEN}",
        "timeout: 5s",
        "compression: none",
        "metrics: cumulative",
        "metrics_interval: 10s",
        "service_name: file-name",
        "resource: {b: file}",
    )
    from_file = otlp(tmp_path, text, env | {"TOKEN": "Bearer t"})
    assert from_file.traces.endpoint == "http://file:4318/v1/traces"
    assert from_file.traces.headers == {"x-scope-orgid": "tenant", "authorization": "Bearer t"}
    assert (from_file.traces.timeout_s, from_file.traces.compression) == (5.0, "none")
    assert from_file.temporality == "cumulative"
    assert from_file.metrics_interval_s == 10.0
    assert from_file.resource == {"service.name": "file-name", "a": "env", "b": "file"}


def test_a_credential_in_the_file_is_refused_and_not_repeated(tmp_path):
    (message,) = said(tmp_path, yaml("endpoint: http://c:4318", "headers: {x-api-key: sk-123456}"))
    assert message.startswith("taximeter.yaml:4: sinks.otlp.headers.x-api-key: a secret must not stand in this file")
    assert "sk-123456" not in message


def test_the_mistakes_of_both_signals_are_told_once(tmp_path):
    text = yaml(
        "endpoint: http://c:4318/v1/traces", "headers: {k: env:NOT_THERE}", "tls: {ca_file: none.pem, key_file: k.pem}"
    )
    messages = said(tmp_path, text, {"OTEL_EXPORTER_OTLP_TIMEOUT": "5"})
    assert [message.split(": ")[1] for message in messages if message.startswith("taximeter")] == [
        "environment variable OTEL_EXPORTER_OTLP_TIMEOUT must be a number of milliseconds, 100 or more",
        "sinks.otlp.endpoint",
        "sinks.otlp.headers.k",
        "sinks.otlp.tls.ca_file",
        "sinks.otlp.tls.key_file",
    ]


def test_an_unknown_key_is_told_with_the_nearest(tmp_path):
    (message,) = said(tmp_path, yaml("endpoint: http://c:4318", "header: {}"))
    assert message == "taximeter.yaml:4: sinks.otlp.header: unknown key; did you mean headers?"


def test_certificates_are_loaded_to_see_that_they_are_some(tmp_path):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    tls = "tls: {ca_file: cert.pem, cert_file: cert.pem, key_file: key.pem}"
    made = otlp(tmp_path, yaml("endpoint: https://c:4318", tls))
    assert made.traces.tls_ca_file == str(tmp_path / "cert.pem")
    assert made.traces.tls_key_file == str(tmp_path / "key.pem")
    swapped = yaml("endpoint: https://c:4318", "tls: {ca_file: key.pem, cert_file: cert.pem}")
    assert [message.split(": ")[1] for message in said(tmp_path, swapped)] == ["sinks.otlp.tls.ca_file"]
    lonely = yaml("endpoint: https://c:4318", "tls: {cert_file: cert.pem}")
    assert [message.split(": ")[1] for message in said(tmp_path, lonely)] == ["sinks.otlp.tls.cert_file"]


def hooks(*lines):
    return "\n".join(["sinks:", "  webhooks:", *(f"    {line}" for line in lines)]) + "\n"


def test_a_webhook_needs_a_url_and_a_secret(tmp_path):
    text = hooks("ops: {url: 'https://h.example/x?y=z', secret: env:HOOK, only: errors, timeout: 3s}")
    (made,) = load(tmp_path, text, {"HOOK": SECRET}).sinks.webhooks
    assert (made.name, made.hook_url, made.secret) == ("ops", "https://h.example/x?y=z", SECRET)
    assert (made.only, made.timeout_s) == ("errors", 3.0)
    assert [message.split(": ", 2)[2] for message in said(tmp_path, hooks("ops: {}"))] == ["needs a url"]
    lonely = hooks("ops: {url: 'https://h.example'}")
    assert [message.split(": ", 2)[2] for message in said(tmp_path, lonely)] == ["needs a secret"]


def test_the_url_of_a_webhook_may_be_a_secret_of_its_own(tmp_path):
    text = hooks("ops: {url: env:URL, secret: env:HOOK}")
    (made,) = load(tmp_path, text, {"HOOK": SECRET, "URL": "https://h.example/T0/B0"}).sinks.webhooks
    assert made.hook_url == "https://h.example/T0/B0"
    (message,) = said(tmp_path, text, {"HOOK": SECRET, "URL": "https://me:sk-123@h.example/"})
    assert message == "taximeter.yaml:3: sinks.webhooks.ops.url: the URL found must not hold a user or password"


@pytest.mark.parametrize("name", ["Ops", "a_b", "-a", "a" * 41])
def test_a_webhook_has_a_name_that_a_cursor_can_be_kept_under(tmp_path, name):
    text = hooks(f"{name}: {{url: 'https://h.example', secret: env:HOOK}}")
    (message,) = said(tmp_path, text, {"HOOK": SECRET})
    assert "a webhook's name is made of small letters" in message


def test_a_short_secret_signs_nothing(tmp_path):
    text = hooks("ops: {url: 'https://h.example', secret: env:HOOK}")
    (message,) = said(tmp_path, text, {"HOOK": "short"})
    assert message.startswith("taximeter.yaml:3: sinks.webhooks.ops.secret: is too short")
    (message,) = said(tmp_path, text, {"HOOK": "whsec_this is not base64 at all"})
    assert message.endswith("must have base64 behind whsec_")
    assert not said(tmp_path, text, {"HOOK": "whsec_dGhpcyBpcyBiYXNlNjQ="})
