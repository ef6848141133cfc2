import json

import pytest

from exporters.alerts.slack import SlackAlerts, slack_body
from exporters.recorder.ports import SinkUnavailableError
from exporters.webhook.post import RefusedError
from proxy.settings import SlackChannel
from tests.fakes.alerts import LINKS, message, notice, signal
from tests.fakes.hook_receiver import hook_receiver


def body(*notices):
    return json.loads(slack_body(message(*notices), LINKS))


def test_an_alert_is_a_text_for_notifications_and_blocks_for_people():
    told = body()
    assert told["text"] == "budget search (team=search) has passed 80 %"
    section, small, end = told["blocks"]
    assert section["text"]["text"].endswith("*budget search (team=search) has passed 80 %*\n4.05 USD of 5 USD spent.")
    assert small["elements"][0]["text"] == "warning · 2026-11-24T18:30:00Z · `taximeter budget status search`"
    assert end["elements"][0]["text"] == "<https://taximeter.example.com|Taximeter>"


def test_a_caller_cannot_address_the_channel():
    told = body(notice(signal=signal(title="no price for <!channel> & <@U1>")))
    assert told["text"] == "no price for &lt;!channel&gt; &amp; &lt;@U1&gt;"
    assert "<!" not in json.dumps(told["blocks"][0])


def test_slack_takes_fifty_blocks_and_three_thousand_characters():
    told = body(*(notice(signal=signal(text="&" * 600)) for _ in range(100)))
    assert len(told["blocks"]) <= 50
    assert all(len(one["text"]["text"]) <= 3000 for one in told["blocks"] if one["type"] == "section")
    assert "and 80 more" in told["blocks"][-1]["elements"][0]["text"]


@pytest.mark.real
def test_it_goes_out_as_json_and_the_answer_says_whether_to_try_again():
    with hook_receiver() as hook:
        made = SlackAlerts(SlackChannel(name="team", hook_url=f"{hook.url}/services/T/B/X"))
        hook.next(200, 500, 400)
        made.send(message(), LINKS)
        with pytest.raises(SinkUnavailableError):
            made.send(message(), LINKS)
        with pytest.raises(RefusedError):
            made.send(message(), LINKS)
        made.close()
    assert [posted.path for posted in hook.posted] == ["/services/T/B/X"] * 3
    assert hook.posted[0].headers["content-type"] == "application/json"
    assert hook.posted[0].body == slack_body(message(), LINKS)
