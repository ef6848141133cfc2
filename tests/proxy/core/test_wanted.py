import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core import wanted
from proxy.core.wanted import MOST_TOKENS, Tokens, Wanted, clean_text, first_stated, json_value, overlay


class Part(msgspec.Struct):
    count: Tokens | None = None
    label: str | None = None


class Shape(msgspec.Struct):
    name: str | None = None
    count: Tokens | None = None
    flag: bool | None = None
    amount: Decimal | None = None
    part: Part | None = None
    parts: list[Part] | None = None
    anything: Any = None


SHAPE = Wanted(Shape)
GOOD = {
    "name": "n",
    "count": 3,
    "flag": True,
    "amount": 0.5,
    "part": {"count": 1, "label": "l"},
    "parts": [{"count": 2}],
    "anything": [1],
    "unwanted": {"deep": []},
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def read(text):
    return SHAPE.read(text.encode() if isinstance(text, str) else text)


def test_reads_the_wanted_fields_and_no_others():
    assert read(json.dumps(GOOD)) == Shape(
        name="n",
        count=3,
        flag=True,
        amount=Decimal("0.5"),
        part=Part(count=1, label="l"),
        parts=[Part(count=2)],
        anything=[1],
    )


@pytest.mark.parametrize("field", [name for name in GOOD if name != "unwanted"])
@given(value=json_values)
def test_a_wrong_type_in_one_field_does_not_lose_the_others(field, value):
    seen = read(json.dumps(GOOD | {field: value}))
    for name in set(Shape.__struct_fields__) - {field}:
        assert getattr(seen, name) == getattr(read(json.dumps(GOOD)), name)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("7", 7),
        ('"7"', 7),
        ("7.0", 7),
        ("7e0", 7),
        ("7.5", None),
        ('"seven"', None),
        ("-7", None),
        ("true", None),
        ("{}", None),
        ("null", None),
        (str(MOST_TOKENS), MOST_TOKENS),
        (str(MOST_TOKENS + 1), None),
        ("1e999999999", None),
        ("1e99999999999999999999", None),
        ("9" * 5000, None),
        ("NaN", None),
    ],
)
def test_a_count_is_a_whole_number_that_can_be_one(text, count):
    assert read(f'{{"count":{text},"name":"kept"}}') == Shape(name="kept", count=count)


@pytest.mark.parametrize("text", ["0.1234567890123456789012345", "3.2e-06", "0.0133176", "0", "12"])
def test_an_amount_is_exactly_what_was_written(text):
    for written in (text, f'"{text}"'):
        assert str(read(f'{{"amount":{written}}}').amount) == str(Decimal(text))
        assert str(read(f'{{"amount":{written},"name":[]}}').amount) == str(Decimal(text))


@pytest.mark.parametrize(("text", "flag"), [('"true"', True), ("1", True), ('"False"', False), ('"yes"', None)])
def test_a_flag_may_come_as_a_text_or_a_number(text, flag):
    assert read(f'{{"flag":{text}}}').flag is flag


def test_a_number_where_a_text_belongs_becomes_a_text():
    assert read('{"name":5}').name == "5"


def test_of_a_list_the_entries_that_fit_are_kept():
    assert read('{"parts":[{"count":1},7,null,{"count":"2"}]}').parts == [Part(count=1), Part(count=2)]


@pytest.mark.parametrize(
    "data",
    [
        b'\xef\xbb\xbf{"name":"n"}',
        b' \r\n\n{"name":"n"}',
        b'[{"name":"n"}]',
        b'[null,{"name":"n"},{"name":"other"}]',
        b'{"name":"n","x":"\\ud83d"}',
        b'{"name":"n","x":NaN}',
        b'{"name":"n","anything":"a\x01b"}',
    ],
)
def test_reads_through_what_is_around_the_object(data):
    assert read(data).name == "n"


def test_broken_text_is_repaired_where_it_is_wanted():
    assert read(b'{"name":"a\xffb"}').name == "a\ufffdb"
    assert read(b'{"name":"a\\ud83db"}').name == "a?b"


@pytest.mark.parametrize("data", [b"", b"[DONE]", b"<html>", b'{"name":', b"7", b"[]", b"[" * 100_000, b'{"a":' * 9999])
def test_what_is_no_object_reads_as_none(data):
    assert read(data) is None


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(data):
    assert read(data) is None or isinstance(read(data), Shape)


def test_json_too_long_for_the_lenient_way_is_not_read_that_way(monkeypatch):
    monkeypatch.setattr(wanted, "MAX_LENIENT_BYTES", 20)
    assert json_value(b'{"name":"short"}') == {"name": "short"}
    assert json_value(b'{"name":"too long for it"}') is None
    assert read('{"name":"long but as expected"}').name == "long but as expected"


def test_newer_figures_replace_older_ones_and_null_replaces_nothing():
    older = Shape(name="old", count=5, part=Part(count=1, label="old"))
    newer = Shape(count=0, flag=False, part=Part(count=2))
    assert overlay(older, newer) == Shape(name="old", count=0, flag=False, part=Part(count=2, label="old"))
    assert overlay(None, Shape(count=1)) == Shape(count=1)


def test_the_first_stated_value_may_be_zero():
    assert first_stated(None, 0, 5) == 0
    assert first_stated(None, None) is None


@given(st.text())
def test_clean_text_can_be_written(text):
    assert clean_text(text + "\ud800").encode() == text.encode() + b"?"
