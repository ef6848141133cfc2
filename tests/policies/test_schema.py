"""The schema that editors get is the one that files are read by."""

import json
from pathlib import Path

import policies
from policies.schema import NOT_YET, PolicyFile, json_schema


def test_the_schema_that_is_checked_in_is_in_step():
    stored = json.loads((Path(policies.__file__).parent / "schema.json").read_text())

    assert stored == json_schema(), "write it anew: taximeter policy schema > policies/schema.json"


def test_every_key_is_described():
    schema = json_schema()
    sections = [schema, *schema["$defs"].values()]
    without = [
        (section.get("title"), name)
        for section in sections
        for name, key in section.get("properties", {}).items()
        if "description" not in key and "$ref" not in key
    ]

    assert without == []


def test_unknown_keys_are_refused_by_editors_too():
    assert json_schema()["additionalProperties"] is False
    assert set(NOT_YET) <= set(PolicyFile.model_fields)
