"""Every recipe of docs/cookbook.md is loaded by the real loader, and its case holds: because of it, and not anyway."""

from itertools import groupby
from pathlib import Path

import pytest

from policies.cases import run_file
from policies.load import load_policies
from proxy.config.load import load_settings
from proxy.governing import built_in_places, known_providers
from proxy.providers import PROVIDERS
from tests.fakes.markdown import Block, blocks

PAGE = Path(__file__).parents[2] / "docs" / "cookbook.md"
RECIPES = {heading: list(pair) for heading, pair in groupby(blocks(PAGE, "yaml"), key=lambda block: block.heading)}


@pytest.fixture(params=RECIPES.values(), ids=RECIPES)
def recipe(request, tmp_path):
    """The file of the policy, with its cases beside it."""
    policy, cases = request.param
    (tmp_path / "recipe.yaml").write_text(policy.text)
    (tmp_path / "recipe.test.yaml").write_text(cases.text)
    return tmp_path / "recipe.yaml"


@pytest.mark.parametrize("pair", RECIPES.values(), ids=RECIPES)
def test_a_recipe_is_a_policy_and_its_case(pair: list[Block]):
    policy, cases = pair
    assert "cases:" not in policy.text
    assert "cases:" in cases.text


def test_a_recipe_loads_where_the_built_in_providers_are_configured(recipe, tmp_path):
    settings = load_settings(None, env={}, cwd=tmp_path, kinds=PROVIDERS)
    assert load_policies([recipe], providers=known_providers(settings)).files


def test_the_cases_of_a_recipe_hold(recipe):
    outcomes = run_file(recipe.with_name("recipe.test.yaml"), built_in_places())
    assert [f"{one.name}: {one.differences}" for one in outcomes if one.differences] == []


def test_they_do_not_hold_without_it(recipe):
    recipe.write_text("version: 1\n")
    outcomes = run_file(recipe.with_name("recipe.test.yaml"), built_in_places())
    assert any(one.differences for one in outcomes)
