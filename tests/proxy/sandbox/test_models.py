import pytest

from proxy.sandbox.models import DEEPSEEK_MODELS, MINIMAX_MODELS, answer_models
from tests.fakes.sandbox_asks import ask, body_of


def test_the_list_has_the_shape_and_the_models_of_the_provider():
    openai = body_of(answer_models(ask("/v1/models", {})))
    assert openai["object"] == "list"
    assert "gpt-5-2025-08-07" in [entry["id"] for entry in openai["data"]]
    minimax = body_of(answer_models(ask("/minimax/v1/models", {})))
    assert tuple(entry["id"] for entry in minimax["data"]) == MINIMAX_MODELS
    deepseek = body_of(answer_models(ask("/deepseek/models", {})))
    assert tuple(entry["id"] for entry in deepseek["data"]) == DEEPSEEK_MODELS


@pytest.mark.parametrize(
    ("path", "headers"), [("/v1/models", {"anthropic_version": "2023-06-01"}), ("/anthropic/v1/models", {})]
)
def test_anthropic_lists_its_models_in_a_shape_of_its_own(path, headers):
    listed = body_of(answer_models(ask(path, {}, **headers)))
    assert listed["has_more"] is False
    assert listed["first_id"] == listed["data"][0]["id"]
    assert listed["data"][0]["type"] == "model"


def test_one_model_can_be_asked_for():
    assert body_of(answer_models(ask("/v1/models/gpt-5-2025-08-07", {})))["object"] == "model"


def test_an_unknown_model_is_not_found_in_the_providers_envelope():
    openai = answer_models(ask("/v1/models/none", {}))
    assert (openai.status, body_of(openai)["error"]["code"]) == (404, "model_not_found")
    anthropic = answer_models(ask("/v1/models/none", {}, anthropic_version="2023-06-01"))
    assert (anthropic.status, body_of(anthropic)["error"]["type"]) == (404, "not_found_error")


def test_every_listed_model_says_that_it_is_simulated():
    for headers in ({}, {"anthropic_version": "1"}):
        for entry in body_of(answer_models(ask("/v1/models", {}, **headers)))["data"]:
            assert "sandbox" in f"{entry.get('owned_by')}{entry.get('display_name')}"
