from exporters.otlp.wanted import otlp_sinks
from proxy.settings import OtlpTarget, SinkSettings
from tests.fakes.otlp_settings import otlp, settings

TARGET = OtlpTarget(endpoint="http://127.0.0.1:1/v1/traces", protocol="http/protobuf")


def names(tmp_path, asked):
    return [sink.name for sink in otlp_sinks(settings(tmp_path, sinks=SinkSettings(otlp=asked)))]


def test_each_signal_with_a_target_is_a_sink_of_its_own(tmp_path):
    assert names(tmp_path, None) == []
    assert names(tmp_path, otlp(traces=TARGET)) == ["otlp-traces"]
    assert names(tmp_path, otlp(metrics=TARGET)) == ["otlp-metrics"]
    assert names(tmp_path, otlp(traces=TARGET, metrics=TARGET)) == ["otlp-traces", "otlp-metrics"]
