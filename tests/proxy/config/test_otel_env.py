import pytest

from proxy.config.otel_env import OtelEnv
from proxy.config.problems import Report

P = "OTEL_EXPORTER_OTLP_"


@pytest.fixture
def report():
    return Report("environment")


def otel(report, **env):
    return OtelEnv({f"OTEL_{name}": value for name, value in env.items()}, report)


def said(report):
    return [problem.what for problem in report.problems]


def test_the_general_endpoint_over_http_gets_the_path_of_the_signal(report):
    env = otel(report, EXPORTER_OTLP_ENDPOINT="http://collector:4318/")
    assert env.endpoint("traces", "http/protobuf") == "http://collector:4318/v1/traces"
    assert env.endpoint("metrics", "http/protobuf") == "http://collector:4318/v1/metrics"


def test_the_endpoint_of_one_signal_is_taken_as_it_is_and_wins(report):
    env = otel(report, EXPORTER_OTLP_ENDPOINT="http://c:1", EXPORTER_OTLP_TRACES_ENDPOINT="https://t.example/x")
    assert env.endpoint("traces", "http/protobuf") == "https://t.example/x"
    assert env.endpoint("metrics", "http/protobuf") == "http://c:1/v1/metrics"


@pytest.mark.parametrize(
    ("raw", "insecure", "url"),
    [
        ("http://c:4317", "", "http://c:4317"),
        ("c:4317", "", "https://c:4317"),
        ("c:4317", "true", "http://c:4317"),
    ],
)
def test_over_grpc_a_host_alone_will_do(report, raw, insecure, url):
    env = otel(report, EXPORTER_OTLP_ENDPOINT=raw, EXPORTER_OTLP_INSECURE=insecure)
    assert env.endpoint("traces", "grpc") == url


def test_empty_variables_are_none(report):
    env = otel(report, EXPORTER_OTLP_ENDPOINT=" ", EXPORTER_OTLP_HEADERS="", SERVICE_NAME="")
    assert env.endpoint_name("traces") == ""
    assert env.endpoint("traces", "http/protobuf") is None
    assert env.headers("traces") == {}
    assert env.resource() == {}
    assert said(report) == []


def test_headers_are_pairs_with_percent_escapes(report):
    env = otel(report, EXPORTER_OTLP_HEADERS="Authorization=Bearer%20x%3D, x-scope=a=b,")
    assert env.headers("traces") == {"authorization": "Bearer x=", "x-scope": "a=b"}


def test_the_service_name_that_stands_alone_wins(report):
    env = otel(report, SERVICE_NAME="meter", RESOURCE_ATTRIBUTES="service.name=other,deployment.environment=prod")
    assert env.resource() == {"service.name": "meter", "deployment.environment": "prod"}


def test_durations_are_milliseconds(report):
    env = otel(report, EXPORTER_OTLP_TIMEOUT="2500", METRIC_EXPORT_INTERVAL="30000")
    assert env.timeout_s("traces") == 2.5
    assert env.metrics_interval_s() == 30.0


def test_seconds_where_milliseconds_belong_are_a_problem(report):
    assert otel(report, EXPORTER_OTLP_TIMEOUT="10").timeout_s("traces") is None
    assert said(report) == [f"environment variable {P}TIMEOUT must be a number of milliseconds, 100 or more"]


@pytest.mark.parametrize(
    ("name", "value", "ask"),
    [
        ("PROTOCOL", "http/json", lambda env: env.protocol("traces")),
        ("COMPRESSION", "deflate", lambda env: env.compression("traces")),
        ("METRICS_TEMPORALITY_PREFERENCE", "sometimes", lambda env: env.temporality()),
        ("HEADERS", "sk-secret", lambda env: env.headers("traces") or None),
        ("HEADERS", "a=b\n", lambda env: None if env.headers("traces") == {"a": "b"} else "wrong"),
        ("ENDPOINT", "collector", lambda env: env.endpoint("traces", "http/protobuf")),
        ("CERTIFICATE", "/no/such/file.pem", lambda env: env.file("traces", "CERTIFICATE")),
    ],
)
def test_what_cannot_be_read_is_named_and_not_repeated(report, name, value, ask):
    assert ask(otel(report, **{f"EXPORTER_OTLP_{name}": value})) is None
    if value.endswith("\n"):
        return
    (problem,) = said(report)
    assert problem.startswith(f"environment variable {P}{name} ")
    assert value not in problem.removeprefix(f"environment variable {P}{name} ")


@pytest.mark.parametrize(("value", "wanted"), [("", True), ("otlp", True), ("console,otlp", True), ("none", False)])
def test_a_signal_goes_out_unless_another_exporter_is_asked_for(report, value, wanted):
    assert otel(report, TRACES_EXPORTER=value).wants("traces") is wanted


def test_low_memory_means_delta_for_what_we_have(report):
    assert otel(report, EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="LowMemory").temporality() == "delta"


def test_files_are_told_with_their_whole_path(report, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").touch()
    env = otel(report, EXPORTER_OTLP_CERTIFICATE="ca.pem")
    assert env.file("metrics", "CERTIFICATE") == str(tmp_path / "ca.pem")


def test_the_switch_of_the_specification_is_known(report):
    assert otel(report, SDK_DISABLED="true").disabled
    assert not otel(report, SDK_DISABLED="false").disabled
