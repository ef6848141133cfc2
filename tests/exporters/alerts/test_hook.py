import json

import pytest

from exporters.alerts.hook import WebhookAlerts, hook_body
from exporters.recorder.ports import SinkUnavailableError
from exporters.webhook.post import RefusedError, sign
from proxy.settings import HookChannel
from tests.fakes.alerts import LINKS, message, notice, signal
from tests.fakes.hook_receiver import hook_receiver

SECRET = "s" * 24


def channel(hook):
    return WebhookAlerts(HookChannel(name="ops", hook_url=f"{hook.url}/x", secret=SECRET))


def test_an_alert_is_told_with_all_its_fields():
    told = json.loads(hook_body(message(), LINKS))
    assert (told["type"], told["version"], told["timestamp"]) == (
        "taximeter.alerts",
        1,
        "2026-11-24T18:30:00.000000000Z",
    )
    assert told["data"]["alerts"] == [
        {
            "key": "k",
            "event": "opened",
            "kind": "threshold",
            "severity": "warning",
            "title": "budget search (team=search) has passed 80 %",
            "text": "4.05 USD of 5 USD spent.",
            "at": "2026-11-24T18:30:00.000000000Z",
            "since": "2026-11-24T18:30:00.000000000Z",
            "calls": 1,
            "fields": {"policy": "budget:search", "spent": "4.05", "limit": "5", "unit": "USD"},
            "links": {"console": "https://taximeter.example.com", "command": "taximeter budget status search"},
        }
    ]


def test_what_is_about_no_budget_names_no_command():
    (alert,) = json.loads(hook_body(message(notice(signal=signal(fields={}))), LINKS))["data"]["alerts"]
    assert alert["links"] == {"console": "https://taximeter.example.com"}


@pytest.mark.real
def test_it_is_signed_under_the_id_of_the_message():
    with hook_receiver() as hook:
        made = channel(hook)
        made.send(message(message_id="m-9"), LINKS)
        made.close()
    (posted,) = hook.posted
    at_s = int(posted.headers["webhook-timestamp"])
    assert posted.headers["webhook-id"] == "m-9"
    assert posted.headers["webhook-signature"] == sign("m-9", at_s, posted.body, SECRET)


@pytest.mark.real
@pytest.mark.parametrize(("status", "error"), [(500, SinkUnavailableError), (422, RefusedError)])
def test_an_answer_says_whether_to_try_again(status, error):
    with hook_receiver() as hook:
        hook.next(status)
        made = channel(hook)
        with pytest.raises(error):
            made.send(message(), LINKS)
        made.close()
