import pytest
import yaml

from policies.schema import NOT_YET, PolicyFile
from policies.schema_parts import Conditions
from proxy.config.schema import Config
from proxy.config.section import Section, known_keys
from reference.keys import keys_of, section_in, shown_default

LATER = frozenset(NOT_YET)
FILES = pytest.mark.parametrize("file", [Config, PolicyFile])


def sections(file: type[Section]) -> dict[str, type[Section]]:
    """Every section by the path that it has in the reference."""
    return {"": file} | inner(file, "")


def inner(section: type[Section], path: str) -> dict[str, type[Section]]:
    found: dict[str, type[Section]] = {}
    for name, field in section.model_fields.items():
        if held := section_in(field.annotation):
            below = f"{path}{field.alias or name}{held.suffix}."
            found |= {below: held.section} | inner(held.section, below)
    return found


@FILES
def test_every_key_that_a_file_may_have_is_listed_once(file):
    listed = [key.path for key in keys_of(file, without=LATER)]
    held = {path: section_in(field.annotation) for path, field in every_field(file) if path not in LATER}
    assert len(listed) == len(set(listed))
    assert set(listed) == {path + (one.suffix if one else "") for path, one in held.items()}


def every_field(file):
    for path, section in sections(file).items():
        for name, field in section.model_fields.items():
            yield f"{path}{field.alias or name}", field


@FILES
def test_the_list_and_the_checker_of_mistakes_know_the_same_keys(file):
    for path, section in sections(file).items():
        steps = tuple(path.replace("[]", ".0").strip(".").split(".")) if path else ()
        names = {field.alias or name for name, field in section.model_fields.items()}
        assert set(known_keys(file, steps)) == names, path


@FILES
def test_every_key_has_a_meaning(file):
    assert [key.path for key in keys_of(file, without=LATER) if len(key.meaning) < 5] == []


@FILES
def test_every_default_that_is_shown_is_what_holds_without_the_key(file):
    for path, section in sections(file).items():
        for name, field in section.model_fields.items():
            written = shown_default(field)
            if written and section_in(field.annotation) is None:
                made = section.model_validate({field.alias or name: yaml.safe_load(written)})
                assert getattr(made, name) == field.default, path + name


def test_a_default_of_nothing_is_shown_as_nothing():
    shown = {key.path: key.default for key in keys_of(Config)}
    assert shown["prices"] == shown["store.url"] == shown["admin_hosts"] == ""
    assert shown["journal.keep"] == "24h"
    assert shown["limits.max_request_bytes"] == "256MiB"
    assert shown["policies"] == '["policies/*.yaml"]'


def test_a_section_apart_is_named_and_not_entered():
    keys = {key.path: key for key in keys_of(PolicyFile, apart=frozenset({Conditions}), without=LATER)}
    assert keys["budgets.NAME.match"].section is Conditions
    assert "budgets.NAME.match.team" not in keys


def test_a_key_to_leave_out_is_left_out():
    assert {key.path for key in keys_of(Config)} - {
        key.path for key in keys_of(Config, without=frozenset({"prices"}))
    } == {"prices"}


def test_bounds_and_alternatives_stand_in_the_words():
    written = {key.path: key.written for key in keys_of(Config)}
    assert written["metrics.max_models"] == "whole number from 1 to 1000"
    assert written["journal.on_full"] == "`pass` or `refuse`"
    assert written["alerts.channels.NAME.port"] == "whole number from 1 to 65535"
