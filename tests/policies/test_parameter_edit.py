"""Only what is meant changes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.parameter_edit import read_body, with_model


def edited(text, **acts):
    body = read_body(text)
    for name in acts.get("drop", ()):
        body.drop(name)
    for old, new in acts.get("rename", {}).items():
        body.rename(old, new)
    for name, value in acts.get("replace", {}).items():
        body.replace(name, value)
    return body.write()


@pytest.mark.parametrize(
    ("text", "drop", "left"),
    [
        (b'{ "a" : 1 , "b":2,\n"c": 3 }', ["a"], b'{ "b":2,\n"c": 3 }'),
        (b'{ "a" : 1 , "b":2,\n"c": 3 }', ["b"], b'{ "a" : 1,\n"c": 3 }'),
        (b'{ "a" : 1 , "b":2,\n"c": 3 }', ["c"], b'{ "a" : 1 , "b":2 }'),
        (b'{ "a" : 1 , "b":2,\n"c": 3 }', ["a", "b", "c"], b"{  }"),
        (b'{"a":1,"b":2,"a":3}', ["a"], b'{"b":2}'),
        (b'{"\\u0061":1,"b":"\\u0061"}', ["a"], b'{"b":"\\u0061"}'),
        (b'{"a":{"b":1}}', ["b"], b'{"a":{"b":1}}'),
        (b"{}", ["a"], b"{}"),
    ],
)
def test_a_member_goes_with_one_comma(text, drop, left):
    assert edited(text, drop=drop) == left


def test_a_member_is_renamed_in_its_place():
    assert edited(b'{"max_tokens" : 5 ,"x":1}', rename={"max_tokens": "most"}) == b'{"most" : 5 ,"x":1}'


def test_a_value_is_replaced_in_its_place_or_put_in_front():
    assert edited(b'{"x":1, "model" : "a"}', replace={"model": b'"b"'}) == b'{"x":1, "model" : "b"}'
    assert edited(b'{ "x":1}', replace={"model": b'"b"'}) == b'{"model":"b", "x":1}'
    assert edited(b"{}", replace={"model": b'"b"', "y": b"2"}) == b'{"model":"b","y":2}'


def test_names_and_values_are_those_of_the_edited_body():
    body = read_body(b'{"a":1,"b":2}')
    body.rename("a", "c")
    body.drop("b")
    body.replace("c", b"3")
    body.replace("d", b"4")

    assert (body.names, body.value("c"), body.value("d"), body.value("b")) == ({"c", "d"}, b"3", b"4", None)
    assert json.loads(body.write()) == {"c": 3, "d": 4}


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b'{"a":', b'{"a":1}x', b"\xef\xbb\xbf{}", b'{"a":\xff}'])
def test_what_is_no_object_is_not_edited(text):
    assert read_body(text) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c", "d", "\u00e9", "x\n"]), VALUES, max_size=6)


@given(OBJECTS, st.sets(st.sampled_from("abcd")), st.sampled_from([None, 1, 3]), st.booleans())
def test_what_is_written_is_what_was_meant_however_the_text_is_laid_out(value, gone, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    found = json.loads(edited(text, drop=gone, replace={"d": b"[7]"}, rename={"c": "z"} if "c" not in gone else {}))
    wanted = {("z" if name == "c" else name): one for name, one in value.items() if name not in gone}

    assert found == wanted | {"d": [7]}


@given(OBJECTS)
def test_without_an_edit_nothing_changes(value):
    text = json.dumps(value).encode()

    assert read_body(text).write() == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (b'{ "a" : [1.0],\n"model" :\t"x\\"y", "b":"\xc3\xa9"}', b'{ "a" : [1.0],\n"model" :\t"m/2", "b":"\xc3\xa9"}'),
        (b'{"a":{"model":"x"},"model":"x"}', b'{"a":{"model":"x"},"model":"m/2"}'),
        (b'{"a":{"model":"x"},"mod\\u0065l":"x"}', b'{"a":{"model":"x"},"mod\\u0065l":"m/2"}'),
        (b'{"model":"x","a":"\\"model\\":\\"x\\""}', b'{"model":"m/2","a":"\\"model\\":\\"x\\""}'),
        (b'{"model":"x","model":"y"}', b'{"model":"m/2","model":"m/2"}'),
        (b'{"a":"model","model":"x"}', b'{"a":"model","model":"m/2"}'),
        (b'["model"]', None),
        (b"{torn", None),
    ],
)
def test_of_a_body_the_model_alone_is_replaced(text, left):
    assert with_model(text, "m/2") == left


@given(
    others=st.dictionaries(st.text(max_size=5) | st.just("model "), st.recursive(
        st.none() | st.text(max_size=8) | st.just("model"),
        lambda inner: st.dictionaries(st.just("model") | st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    ), max_size=4),
    model=st.text(max_size=8),
    new=st.text(min_size=1, max_size=8),
    ascii_only=st.booleans(),
)  # fmt: skip
def test_a_model_is_replaced_as_any_member_is(others, model, new, ascii_only):
    text = json.dumps({**others, "model": model}, ensure_ascii=ascii_only).encode("utf-8", "replace")

    assert with_model(text, new) == edited(text, replace={"model": json.dumps(new, ensure_ascii=False).encode()})
