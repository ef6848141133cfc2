from exporters.alerts.alert import SEVERITIES, rank
from tests.fakes.alerts import message, notice, signal


def test_severities_rise():
    assert sorted(SEVERITIES, key=rank) == ["info", "warning", "critical"]


def test_a_message_is_as_grave_as_the_gravest_that_is_not_over():
    grave = signal(severity="critical")
    assert message(notice(), notice(signal=grave)).severity == "critical"
    assert message(notice(), notice(signal=grave, event="resolved")).severity == "warning"
    assert message(notice(event="resolved")).severity == "info"
