import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sandbox.schema import MAX_VALUES, instance
from proxy.sandbox.words import MARKER, Draw

DRAW = Draw("key")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
keywords = st.sampled_from(
    [
        "type",
        "properties",
        "required",
        "items",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "$defs",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "prefixItems",
        "format",
    ]
)
schemas = st.recursive(
    json_values | st.sampled_from(["object", "array", "string", "number", "integer", "#", "#/$defs/a"]),
    lambda inner: st.lists(inner) | st.dictionaries(keywords, inner),
    max_leaves=25,
)


@given(schemas)
def test_anything_may_be_given_as_a_schema_and_gives_json(schema):
    assert json.dumps(instance(schema, DRAW))


def test_an_object_has_what_it_requires_and_what_it_may_have():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city", "day"]}
    made = instance(schema, DRAW)
    assert list(made) == ["city", "day"]
    assert made["city"].startswith(MARKER)


def test_the_same_draw_gives_the_same_instance():
    schema = {"type": "object", "properties": {name: {"type": "integer"} for name in "abcdef"}}
    assert instance(schema, Draw("one")) == instance(schema, Draw("one")) != instance(schema, Draw("other"))


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"const": 3}, 3),
        ({"enum": ["only"]}, "only"),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"], "minimum": 5, "maximum": 5}, 5),
        ({"anyOf": [{"const": "first"}, {"const": "second"}]}, "first"),
        ({"oneOf": [{"type": "object", "properties": {"a": {"const": 1}}}]}, {"a": 1}),
        ({"type": "string", "format": "date"}, "2026-01-02"),
        ({"type": "string", "maxLength": 4}, MARKER[:4]),
        ({"type": "integer", "exclusiveMinimum": 41, "exclusiveMaximum": 43}, 42),
        ({"type": "integer", "multipleOf": 50, "minimum": 1001, "maximum": 1050}, 1050),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "array", "items": {"const": 1}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "items": {"const": 1}, "maxItems": 0}, []),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "minItems": 2}, [1, 2]),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": "found"}}}, "found"),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"b": 2, "a": 1}),
    ],
)
def test_the_keywords_of_tool_schemas_are_obeyed(schema, expected):
    assert instance(schema, DRAW) == expected


@given(st.integers(-100, 100), st.integers(0, 50), st.integers(0, 1 << 30))
def test_a_whole_number_lies_within_its_bounds(low, span, key):
    made = instance({"type": "integer", "minimum": low, "maximum": low + span}, Draw(key))
    assert isinstance(made, int)
    assert low <= made <= low + span


@given(st.integers(0, 300), st.integers(0, 1 << 30))
def test_a_string_is_as_long_as_it_must_be(low, key):
    assert len(instance({"type": "string", "minLength": low}, Draw(key))) >= low


def test_a_schema_that_refers_to_itself_ends():
    node = {"type": "object", "properties": {name: {"$ref": "#/$defs/node"} for name in "abcdef"}}
    made = instance({"$ref": "#/$defs/node", "$defs": {"node": node}}, DRAW)

    def size(value):
        return 1 + sum(map(size, value.values())) if isinstance(value, dict) else 1

    assert size(made) <= 6 * MAX_VALUES
    assert instance({"$ref": "#"}, DRAW) is not None
