from exporters.alerts.words import command_of, headline, severity_of, when
from tests.fakes.alerts import HOUR_NS, NOW_NS, message, notice, signal


def test_the_headline_is_the_gravest_and_how_many_more_there_are():
    grave = signal(severity="critical", title="budget a is spent")
    assert headline(message(notice())) == "budget search (team=search) has passed 80 %"
    assert headline(message(notice(), notice(signal=grave))) == "budget a is spent (and 1 more)"


def test_what_lasts_comes_before_what_is_over():
    over = notice(signal=signal(severity="critical", title="budget a is spent"), event="resolved")
    assert headline(message(over, notice())).startswith("budget search")
    assert headline(message(over)) == "over: budget a is spent"


def test_when_says_how_long_it_lasts_and_how_many_calls_say_so():
    assert when(notice()) == "2026-11-24T18:30:00Z"
    assert when(notice(count=3)) == "2026-11-24T18:30:00Z, 3 calls"
    again = notice(event="repeated", since_ns=NOW_NS - HOUR_NS, count=41)
    assert when(again) == "2026-11-24T17:30:00Z to 2026-11-24T18:30:00Z, 41 calls"


def test_what_is_over_is_grave_no_more():
    assert severity_of(notice()) == "warning"
    assert severity_of(notice(event="resolved")) == "resolved"


def test_a_command_shows_more_of_a_budget():
    assert command_of(notice()) == "taximeter budget status search"
    assert command_of(notice(signal=signal(fields={}))) == ""
