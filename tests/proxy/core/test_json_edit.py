import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.json_edit import members, span_of, with_first_member, with_value

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=5)
STYLES = st.sampled_from(
    [
        {"separators": (",", ":")},
        {},
        {"indent": 2},
        {"ensure_ascii": False},
        {"separators": (" ,\t", " :\r\n ")},
    ]
)


def written(value, style):
    return json.dumps(value, **style).encode()


@given(OBJECTS, STYLES)
def test_members_are_found_by_their_offsets(value, style):
    text = b" \n" + written(value, style) + b" "
    found = members(text)

    assert found is not None
    assert {json.loads(b'"' + member.key + b'"'): json.loads(member.value(text)) for member in found} == value
    assert all(text[member.start : member.start + 1] == b'"' for member in found)


@given(OBJECTS, STYLES, st.integers(0, 4))
def test_an_object_less_one_member_is_that_object_less_one_member(value, style, index):
    text = written(value, style)
    found = members(text)
    if index >= len(found):
        return
    start, end = span_of(found, index)

    keys = list(value)
    assert json.loads(text[:start] + text[end:]) == {key: value[key] for key in keys if key != keys[index]}


@given(OBJECTS, STYLES, st.integers(0, 5), VALUES)
def test_taking_off_what_was_put_in_gives_the_same_bytes(value, style, index, put):
    items = list(value.items())
    with_put = dict([*items[:index], ("\u0001put", put), *items[index:]])
    text = written(with_put, style)
    position = list(with_put).index("\u0001put")
    start, end = span_of(members(text), position)

    assert text[:start] + text[end:] == written(value, style) or not items


@given(OBJECTS, STYLES)
def test_a_member_put_in_front_leaves_every_other_byte(value, style):
    text = b" " + written(value, style)
    edited = with_first_member(text, b"x-new", b'{"a":1}')

    assert json.loads(edited) == {"x-new": {"a": 1}, **value}
    added = b'"x-new":{"a":1}' + (b"," if value else b"")
    at = text.index(b"{") + 1
    assert edited == text[:at] + added + text[at:]


@given(OBJECTS.filter(bool), STYLES)
def test_a_value_is_replaced_where_it_stands(value, style):
    text = written(value, style)
    member = members(text)[-1]

    assert json.loads(with_value(text, member, b"[7]")) == {**value, list(value)[-1]: [7]}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"1",
        b'"{"',
        b"{",
        b'{"a"',
        b'{"a":',
        b'{"a":1',
        b'{"a":1,',
        b'{"a":1,}',
        b"{a:1}",
        b'{"a" 1}',
        b'{"a":"x',
        b'{"a":[',
        b"\xef\xbb\xbf{}",
        b"{\x00}",
    ],
)
def test_what_is_no_object_has_no_members(text):
    assert members(text) is None


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b"{1}", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00"])
def test_nothing_is_put_into_what_is_no_object(text):
    assert with_first_member(text, b"a", b"1") is None


@given(st.binary(max_size=60) | st.text('{}[]",:\\ a1n', max_size=40).map(str.encode))
def test_no_text_is_an_error(text):
    found = members(text)
    assert all(0 <= one.start < one.value_start <= one.end <= len(text) for one in found or ())
    edited = with_first_member(text, b"a", b"1")
    assert edited is None or len(edited) > len(text)


def test_members_begin_where_asked():
    text = b'data: {"a":1}'

    assert members(text) is None
    assert members(text, 5)[0].value(text) == b"1"
