import pytest

from grafana.macros import MacroError, Range, expand

DAY = Range(1_761_350_400, 1_761_436_800, 60)


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        ("$__timeFilter(at)", "at >= toDateTime(1761350400) AND at <= toDateTime(1761436800)"),
        ("$__dateFilter(day)", "day >= toDate('2025-10-25') AND day <= toDate('2025-10-26')"),
        ("$__timeInterval(at) AS t", "toStartOfInterval(toDateTime(at), INTERVAL 60 second) AS t"),
        ("$__timeGroup(at, 5m)", "toStartOfInterval(toDateTime(at), INTERVAL 300 second)"),
        ("$__fromTime, $__toTime", "toDateTime(1761350400), toDateTime(1761436800)"),
        ("$__timeFrom(at)", "at >= toDateTime(1761350400)"),
        ("$__timeTo(f(a, b))", "f(a, b) <= toDateTime(1761436800)"),
        ("x / $__interval_s", "x / 60"),
        ("'$__toTime' -- $__toTime", "'$__toTime' -- $__toTime"),
    ],
)
def test_a_macro_becomes_what_the_plugin_makes_of_it(sql, made):
    assert expand(sql, DAY) == made


@pytest.mark.parametrize("sql", ["$__nothing", "$__timeFilter()", "$__timeGroup(at, soon)", "$__timeFilter(at"])
def test_what_the_plugin_would_refuse_is_refused(sql):
    with pytest.raises(MacroError):
        expand(sql, DAY)


@pytest.mark.parametrize(
    ("chosen", "made"),
    [(["$__all"], "1=1"), ([""], "1=1"), (["a", "o'b"], "team IN ('a','o''b')")],
)
def test_a_condition_falls_away_for_all(chosen, made):
    assert expand("$__conditionalAll(team IN (${team:sqlstring}), $team)", DAY, {"team": chosen}) == made


def test_an_interval_is_a_second_at_least():
    assert expand("$__interval_s", Range(0, 1, 0)) == "1"
