"""Thresholds that send calls to nowhere are refused when policies load, with file, line and what would be right."""

import pytest

from policies.load import PolicyError, load_policies

POLICY = """\
version: 1
aliases: {{cheap: openai/gpt-5-nano}}
budgets:
  team:
    limit: 5 USD
    window: day
    thresholds: [{{at: "80%", do: [downgrade], model: {model}}}]
"""
PROVIDERS = ("minimax", "openai", "openrouter")


def load(tmp_path, model, providers=PROVIDERS):
    file = tmp_path / "p.yaml"
    file.write_text(POLICY.format(model=model))
    return load_policies([file], providers=providers)


@pytest.mark.parametrize(
    "model", ["cheap", "Cheap", "gpt-5-nano", "OpenAI/gpt-5-nano", "minimax/MiniMax-M2", "openrouter/deepseek/chat"]
)
def test_an_alias_a_model_and_a_provider_with_a_model_are_fine(model, tmp_path):
    assert load(tmp_path, model).budgets[0].thresholds[0].model == model


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("openia/gpt-5", "'openia/gpt-5' names no provider; did you mean openai?"),
        ("deepseek/chat", "such as openrouter/deepseek/chat"),
        ("chaep", "there is no alias 'chaep'; did you mean cheap?"),
    ],
)
def test_what_leads_nowhere_is_told_with_its_line(model, told, tmp_path):
    with pytest.raises(PolicyError) as raised:
        load(tmp_path, model)

    (problem,) = str(raised.value).splitlines()
    assert problem.startswith(f"{tmp_path / 'p.yaml'}:7: budgets.team.thresholds: ")
    assert told in problem


def test_nothing_is_said_where_providers_are_not_known(tmp_path):
    assert load(tmp_path, "openia/gpt-5", providers=None).budgets
