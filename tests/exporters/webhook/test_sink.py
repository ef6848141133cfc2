import json

import pytest

from exporters.recorder.ports import SinkUnavailableError
from exporters.webhook import sink as webhook
from exporters.webhook.sink import WebhookSink, webhook_sinks
from proxy.settings import SinkSettings, WebhookSettings
from tests.fakes.hook_receiver import hook_receiver
from tests.fakes.otlp_settings import batch, settings
from tests.fakes.records import call, call_id

pytestmark = pytest.mark.real


@pytest.fixture
def hook():
    with hook_receiver() as hook:
        yield hook


@pytest.fixture
def make(hook):
    made = []

    def make(**more):
        made.append(WebhookSink(WebhookSettings(name="ops", hook_url=f"{hook.url}/x", secret="s" * 24, **more)))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


def told(hook):
    return [one["call_id"] for posted in hook.posted for one in json.loads(posted.body)["data"]["calls"]]


def ids(hook):
    return [posted.headers["webhook-id"] for posted in hook.posted]


def test_every_call_is_told(hook, make):
    sink = make()
    sink.check()
    assert sink.deliver(batch(call(1), call(2, outcome="error"))) == {"messages": 1, "calls": 2}
    assert told(hook) == [call_id(1), call_id(2)]


def test_only_failed_ones_where_those_are_asked_for(hook, make):
    outcomes = ("ok", "error", "refused", "cancelled", "broken", "interrupted")
    calls = [call(number, outcome=outcome) for number, outcome in enumerate(outcomes)]
    assert make(only="errors").deliver(batch(*calls)) == {"messages": 1, "calls": 5, "passed_over": 1}
    assert told(hook) == [call_id(number) for number in range(1, 6)]


def test_a_batch_without_anything_to_tell_sends_nothing(hook, make):
    assert make(only="errors").deliver(batch()) == {"passed_over": 1}
    assert hook.posted == []


def test_a_batch_that_failed_goes_on_where_it_stopped_under_the_same_ids(hook, make, monkeypatch):
    monkeypatch.setattr(webhook, "CALLS_A_MESSAGE", 2)
    sink, calls = make(), [call(number) for number in range(5)]
    hook.next(204, 500)
    with pytest.raises(SinkUnavailableError):
        sink.deliver(batch(*calls))
    assert sink.deliver(batch(*calls)) == {"messages": 3, "calls": 5}
    first, failed, again, last = ids(hook)
    assert failed == again
    assert len({first, failed, last}) == 3
    assert "." not in "".join(ids(hook))


def test_a_batch_has_the_same_ids_after_a_restart(hook, make):
    for _ in range(2):
        make().deliver(batch(token="t-9"))
    assert len(set(ids(hook))) == 1
    make().deliver(batch(token="t-10"))
    assert len(set(ids(hook))) == 2


def test_what_is_refused_is_counted_and_holds_up_nothing(hook, make):
    hook.next(422)
    sink = make()
    assert sink.deliver(batch(call(1), call(2))) == {"refused_status_422": 2}
    assert sink.deliver(batch(call(3), token="t-2")) == {"messages": 1, "calls": 1}


def test_there_is_a_sink_for_each_receiver_by_its_name(tmp_path):
    hooks = tuple(WebhookSettings(name=name, hook_url="http://h", secret="s" * 24) for name in ("a", "b"))
    made = webhook_sinks(settings(tmp_path, sinks=SinkSettings(webhooks=hooks)))
    assert [sink.name for sink in made] == ["webhook-a", "webhook-b"]
