import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.reports.dimensions import DIMENSIONS, filter_names, group_names, parse_by, parse_where
from exporters.reports.errors import BadQuestionError

NASTY = ["' OR 1=1 --", "`", "{x:String}", "\\", "a,b", "\0", "\N{SNOWMAN}", "$argument", "x'); DROP TABLE calls; --"]


def test_dimensions_keep_the_order_in_which_they_were_asked_for_and_come_once():
    assert [dimension.name for dimension in parse_by("team, model,team,,tag:env")] == ["team", "model", "tag:env"]
    assert parse_by("") == ()


@pytest.mark.parametrize("name", ["Model", "call_id", "cost", "tag:", "tags", "1", *(n for n in NASTY if "," not in n)])
def test_a_dimension_outside_the_list_is_refused_and_the_list_is_shown(name):
    with pytest.raises(BadQuestionError, match=r"choose from model, .*tag:NAME"):
        parse_by(name)


def test_every_listed_dimension_is_taken_where_it_says_so():
    for name in group_names():
        assert parse_by(name)[0].name == name
    for name in filter_names():
        assert parse_where([f"{name}=x"])[0].values == ("x",)


@pytest.mark.parametrize("text", ["day=2026-11-01", "hour=1", "cost=1", "=a", "tag:=x"])
def test_a_filter_outside_the_list_is_refused(text):
    with pytest.raises(BadQuestionError, match="cannot be filtered by"):
        parse_where([text])


@pytest.mark.parametrize("text", ["team", "", "team>a"])
def test_a_filter_without_a_value_is_refused_with_an_example(text):
    with pytest.raises(BadQuestionError, match="for example team=search"):
        parse_where([text])


def test_values_of_one_dimension_are_alternatives_and_negations_stand_apart():
    conditions = parse_where(["team=a", "model!=x=y", "team=b", "team!=c", "user="])
    assert [(c.dimension.name, c.values, c.negated) for c in conditions] == [
        ("team", ("a", "b"), False),
        ("model", ("x=y",), True),
        ("team", ("c",), True),
        ("user", ("",), False),
    ]


@pytest.mark.parametrize("nasty", NASTY)
def test_what_somebody_typed_is_never_part_of_the_sql(nasty):
    (condition,) = parse_where([f"tag:{nasty.replace('=', '')}={nasty}"])
    sql, parameters = condition.sql("w0")
    assert sql == "`tags`[{w0_tag:String}] IN {w0:Array(String)}"
    assert parameters == {"w0_tag": nasty.replace("=", ""), "w0": [nasty]}


@given(st.text(), st.text())
def test_the_sql_of_a_filter_depends_on_nothing_but_the_name_of_the_dimension(value, other):
    (one,), (two,) = parse_where([f"team={value}"]), parse_where([f"team={other}"])
    assert one.sql("w")[0] == two.sql("w")[0]


def test_expressions_have_no_value_of_their_own_but_the_zone():
    for dimension in DIMENSIONS:
        sql, parameters = dimension.sql("x")
        assert parameters == {}
        assert sql.replace("{tz:String}", "").count("{") == 0
