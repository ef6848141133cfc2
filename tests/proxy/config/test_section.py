"""Sections know their keys, and say what is wrong in words of ours."""

from typing import Annotated

import pytest
from pydantic import ValidationError

from proxy.config.schema import Config, ProviderConfig, TlsConfig
from proxy.config.section import SAID, Section, known_keys, parsed


def _even(raw):
    if raw % 2:
        raise ValueError("must be even")
    return raw


class _Inner(Section):
    number: Annotated[int, parsed(_even)] = 2


class _Outer(Section):
    one: _Inner | None = None
    many: list[_Inner] | None = None
    named: dict[str, _Inner] | None = None


def test_known_keys_are_those_of_the_section():
    assert known_keys(Config, ()) == tuple(Config.model_fields)
    assert known_keys(Config, ("providers", "any-name")) == tuple(ProviderConfig.model_fields)
    assert known_keys(Config, ("providers", "any-name", "tls")) == tuple(TlsConfig.model_fields)
    assert known_keys(Config, ("listen",)) == ()
    assert known_keys(Config, ("no", "such")) == ()


@pytest.mark.parametrize("path", [("one",), ("many", 3), ("named", "any")])
def test_sections_are_found_behind_options_lists_and_names(path):
    assert known_keys(_Outer, path) == ("number",)


def test_a_mistake_keeps_the_words_of_its_parser():
    with pytest.raises(ValidationError) as caught:
        _Outer.model_validate({"many": [{"number": 3}]})

    (detail,) = caught.value.errors()
    assert (detail["type"], detail["ctx"], detail["loc"]) == (SAID, {"said": "must be even"}, ("many", 0, "number"))
