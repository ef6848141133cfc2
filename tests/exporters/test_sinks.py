"""The registry of sinks: what is configured is made, what is not is not even imported."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from exporters.sinks import make_sinks
from exporters.webhook.shape import FIELDS
from proxy.config.schema import OtlpConfig, WebhookConfig
from proxy.core.semconv import metric_names
from proxy.settings import OtlpTarget, SinkSettings, WebhookSettings, to_json
from tests.fakes.otlp_settings import otlp, settings

ROOT = Path(__file__).parents[2]
HEAVY = ("opentelemetry", "grpc", "google.protobuf")
HTTP = OtlpTarget(endpoint="http://127.0.0.1:1/v1/traces", protocol="http/protobuf")
GRPC = OtlpTarget(endpoint="http://127.0.0.1:1", protocol="grpc")


def test_the_store_is_always_one(tmp_path):
    assert [sink.name for sink in make_sinks(settings(tmp_path))] == ["clickhouse"]


def test_every_sink_that_is_asked_for_is_made_under_a_name_of_its_own(tmp_path):
    hooks = tuple(WebhookSettings(name=name, hook_url="http://h", secret="s" * 24) for name in ("a", "b"))
    asked = SinkSettings(otlp=otlp(traces=HTTP, metrics=GRPC), webhooks=hooks)
    names = [sink.name for sink in make_sinks(settings(tmp_path, sinks=asked))]
    assert names == ["clickhouse", "webhook-a", "webhook-b", "otlp-traces", "otlp-metrics"]


def test_making_them_connects_to_nothing_and_writes_nothing(tmp_path):
    for sink in make_sinks(settings(tmp_path / "d", sinks=SinkSettings(otlp=otlp(traces=GRPC, metrics=HTTP)))):
        sink.close()
    assert not (tmp_path / "d").exists()


def loaded_by(tmp_path, asked):
    """Which of HEAVY a process holds after it has made its sinks."""
    program = (
        "import json, sys\n"
        "from exporters.sinks import make_sinks\n"
        "from proxy.settings import from_json\n"
        "make_sinks(from_json(sys.stdin.buffer.read()))\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    data = to_json(settings(tmp_path, sinks=asked))
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True, env=environment)
    return json.loads(done.stdout)


@pytest.mark.real
@pytest.mark.parametrize(
    ("asked", "loaded"),
    [
        (SinkSettings(), []),
        (SinkSettings(webhooks=(WebhookSettings(name="a", hook_url="http://h", secret="s" * 24),)), []),
        (SinkSettings(otlp=otlp(traces=HTTP)), ["opentelemetry", "google.protobuf"]),
        (SinkSettings(otlp=otlp(metrics=GRPC)), ["opentelemetry", "grpc", "google.protobuf"]),
    ],
)
def test_what_nobody_asks_for_is_not_imported(tmp_path, asked, loaded):
    assert loaded_by(tmp_path, asked) == loaded


DOCS = (ROOT / "docs" / "sinks.md").read_text()
COLLECTOR = ROOT / "deploy" / "otel-collector" / "collector.yaml"


@pytest.mark.parametrize("section", [OtlpConfig, WebhookConfig])
def test_the_docs_name_every_key(section):
    named = set(re.findall(r"`([a-z_.]+)`", DOCS))
    tls = {f"tls.{key}" for key in section.model_fields["tls"].annotation.model_fields}
    assert {*section.model_fields, *tls} - {"tls"} <= named


def test_the_docs_name_every_field_of_a_webhook_and_every_metric():
    assert [field for field in FIELDS if f"`{field}`" not in DOCS] == []
    names = metric_names("1.41").values()
    assert [name for name in names if f"`{name}`" not in DOCS] == []


def test_the_collectors_configuration_uses_what_it_defines():
    config = yaml.safe_load(COLLECTOR.read_text())
    assert set(config["service"]["extensions"]) == set(config["extensions"])
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind])
    for exporter in config["exporters"].values():
        assert exporter["sending_queue"]["storage"] in config["extensions"]
    for receiver in config["receivers"]["otlp"]["protocols"].values():
        assert receiver["auth"]["authenticator"] in config["extensions"]
