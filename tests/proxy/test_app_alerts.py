import json

import pytest

from exporters.recorder.status import RecorderStatus
from policies.ledger.sqlite_books import SqliteBooks
from proxy.app_alerts import alert_sinks, try_channels
from proxy.settings import AlertSettings, HookChannel, SlackChannel
from tests.fakes.hook_receiver import hook_receiver
from tests.fakes.otlp_settings import settings


@pytest.fixture
def books(tmp_path):
    made = SqliteBooks(tmp_path / "ledger.sqlite")
    yield made
    made.close()


def alerts(*channels):
    return AlertSettings(channels=channels, group_s=0.0)


def test_without_a_channel_there_is_no_sink(tmp_path, books):
    assert alert_sinks(settings(tmp_path), RecorderStatus(), books) == ()


@pytest.mark.real
def test_the_sink_looks_at_the_status_of_the_recorder(tmp_path, books):
    with hook_receiver() as hook:
        channel = HookChannel(name="ops", hook_url=hook.url, secret="s" * 24)
        known = RecorderStatus()
        known.self_check.ok = False
        (sink,) = alert_sinks(settings(tmp_path, alerts=alerts(channel)), known, books)
        sink.check()
        sink.close()
    (told,) = json.loads(hook.posted[0].body)["data"]["alerts"]
    assert told["kind"] == "self_check"
    assert (tmp_path / "run" / "alerts.sqlite").exists()


@pytest.mark.real
def test_channels_are_tried_each_at_once_and_say_what_went_wrong(tmp_path):
    with hook_receiver() as hook:
        hook.next(200, 422)
        channels = (
            HookChannel(name="ops", hook_url=hook.url, secret="s" * 24, severity="critical"),
            SlackChannel(name="picky", hook_url=hook.url),
            SlackChannel(name="gone", hook_url="http://127.0.0.1:1/"),
        )
        outcomes = try_channels(settings(tmp_path, alerts=alerts(*channels)), [])
    assert list(outcomes) == ["ops", "picky", "gone"]
    assert outcomes["ops"] == ""
    assert "status_422" in outcomes["picky"]
    assert "http://127.0.0.1:1" in outcomes["gone"]
    assert json.loads(hook.posted[0].body)["data"]["alerts"][0]["kind"] == "test"
    assert list(try_channels(settings(tmp_path, alerts=alerts(*channels)), ["gone"])) == ["gone"]
