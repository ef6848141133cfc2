"""A path names one plain value, or nothing."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.json_path import MAX_STEPS, parse_path, path_text, text_at

VALUE = {
    "base_resp": {"status_code": 1008, "ok": False, "cost": Decimal("0.10"), "none": None},
    "choices": [{"message": {"content": "hi"}}],
    "list": [[1, 2]],
}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("base_resp.status_code", "1008"),
        ("base_resp.ok", "false"),
        ("base_resp.cost", "0.10"),
        ("base_resp.none", "null"),
        ("choices[0].message.content", "hi"),
        ("list[0][1]", "2"),
        ("choices[1].message", None),
        ("choices.message", None),
        ("base_resp[0]", None),
        ("base_resp", None),
        ("nothing", None),
    ],
)
def test_a_path_gives_the_plain_value_as_text(path, text):
    assert text_at(VALUE, parse_path(path)) == text


def test_a_path_can_begin_in_an_array():
    assert text_at([{"error": "x"}], parse_path("[0].error")) == "x"


@pytest.mark.parametrize(
    "wrong", ["", ".a", "a.", "a..b", "a.[0]", "a[b]", "a[-1]", "a[0]b", "a]", "[", "a[0", ".".join("a" * 17)]
)
def test_what_is_no_path_is_refused_with_a_reason(wrong):
    with pytest.raises(ValueError, match=r"path|dot"):
        parse_path(wrong)


NAMES = st.text(st.characters(exclude_characters=".[]", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(NAMES | st.integers(0, 999_999), min_size=1, max_size=MAX_STEPS).map(tuple))
def test_a_path_written_out_reads_as_the_same_path(path):
    assert parse_path(path_text(path)) == path


@given(st.text(max_size=20))
def test_any_text_is_a_path_or_refused(text):
    try:
        path = parse_path(text)
    except ValueError:
        return
    assert parse_path(path_text(path)) == path
