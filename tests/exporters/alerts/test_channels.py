import pytest

from exporters.alerts.channels import make_channel
from exporters.alerts.hook import WebhookAlerts
from exporters.alerts.mail import EmailAlerts
from exporters.alerts.slack import SlackAlerts
from proxy.settings import EmailChannel, HookChannel, SlackChannel


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (HookChannel(name="a", hook_url="http://127.0.0.1:1/", secret="s" * 24), WebhookAlerts),
        (SlackChannel(name="a", hook_url="http://127.0.0.1:1/"), SlackAlerts),
        (EmailChannel(name="a", host="h", port=1, security="none", sender="a@b", recipients=("c@d",)), EmailAlerts),
    ],
)
def test_each_kind_of_settings_has_its_channel_which_connects_to_nothing_yet(settings, kind):
    channel = make_channel(settings)
    assert type(channel) is kind
    assert channel.name == "a"
    channel.close()
