"""The small languages of routes: what is written, and what is said of what cannot be read."""

import pytest

from policies import values_routes as values
from policies.routes_compiled import RouteTarget, TextMatch


@pytest.mark.parametrize(
    ("raw", "made"),
    [
        ("openai", RouteTarget(id="openai", provider="openai")),
        ("or/deepseek/chat:free", RouteTarget(id="or/deepseek/chat:free", provider="or", model="deepseek/chat:free")),
        ("m/x#eu", RouteTarget(id="m/x#eu", provider="m", model="x", key="eu")),
        ({"provider": "m", "model": "x", "key": "eu"}, RouteTarget(id="m/x#eu", provider="m", model="x", key="eu")),
    ],
)
def test_a_target_is_short_or_spelt_out(raw, made):
    assert values.target(raw) == made


@pytest.mark.parametrize(
    "raw",
    [
        *("", "/x", "m/", "m#", "m x", 5, None, {}, {"model": "x"}, {"provider": "m", "weight": -1}),
        *({"provider": "m", "strict": "yes"}, {"provider": 5}, {"provider": "m", "key": 1}, {"provider": "m", "x": 1}),
    ],
)
def test_what_is_no_target_is_told(raw):
    with pytest.raises(ValueError, match=r"must|needs|unknown key"):
        values.target(raw)


@pytest.mark.parametrize("raw", [[], {"weights": {}}, {"weights": {"m": "1"}}, {"weights": {"m": 1}, "x": 1}])
def test_what_is_no_step_is_told(raw):
    with pytest.raises(ValueError, match="must"):
        values.tier(raw)


@pytest.mark.parametrize(
    ("raw", "made"),
    [
        ("Abc", TextMatch(values=("abc",))),
        (1008, TextMatch(values=("1008",))),
        ([True, None, "a*"], TextMatch(values=("true", "null"), globs=("a*",))),
        ({"not": "x"}, TextMatch(values=("x",), negated=True)),
        ({"not": {"contains": "x"}}, TextMatch(contains=("x",), negated=True)),
        ({"there": True}, TextMatch()),
        ({"there": False}, TextMatch(negated=True)),
    ],
)
def test_a_text_is_matched_in_lower_case(raw, made):
    assert values.text_match(raw) == made


@pytest.mark.parametrize("raw", [[], {}, {"x": 1}, {"there": 1}, {"not": {"not": "x"}}, [[1]], {"a": 1, "b": 2}])
def test_what_is_no_text_match_is_told(raw):
    with pytest.raises(ValueError, match="must be a text"):
        values.text_match(raw)


def test_statuses_are_ranges():
    assert values.statuses([429, "500-599", 0]) == ((429, 429), (500, 599), (0, 0))
    for wrong in ([], "x", True, 99, 600, "500-", 4.5):
        with pytest.raises(ValueError, match="status"):
            values.statuses(wrong)


def test_the_head_is_held_back_or_not():
    assert values.hold_head(False) == values.hold_head("off") == values.HoldHead(on=False)
    assert values.hold_head({"time": "3s", "bytes": "4KiB"}) == values.HoldHead(True, 3000, 4096)
    for wrong in ({}, {"x": 1}, 5, "never"):
        with pytest.raises(ValueError, match="must be off"):
            values.hold_head(wrong)


def test_durations_shares_and_answers():
    assert (values.duration_ms("200ms"), values.duration_ms(2), values.duration_ms("0.1ms")) == (200, 2000, 1)
    assert (values.share("0%"), values.share("100%")) == (0, 10_000)
    assert [values.answer(raw) for raw in (True, "no", "policy")] == ["yes", "no", "policy"]
    for parse, wrong in ((values.share, "101%"), (values.share, 5), (values.answer, "maybe"), (values.answer, 1)):
        with pytest.raises(ValueError, match="must be"):
            parse(wrong)


@pytest.mark.parametrize("parse", [values.headers, values.json_matches])
def test_matchers_by_name_need_a_name(parse):
    for wrong in ({}, [], "x"):
        with pytest.raises(ValueError, match="must be"):
            parse(wrong)
