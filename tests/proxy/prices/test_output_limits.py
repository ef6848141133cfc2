"""Output limits are known for models that the library has, and are no more than their context."""

import pytest
from genai_prices.data import providers

from proxy.prices.output_limits import _LIMITS, output_limit

MODELS = {(provider.id, model.id): model for provider in providers for model in provider.models}


@pytest.mark.parametrize(("provider", "model"), [(p, m) for p, models in _LIMITS.items() for m in models])
def test_a_limit_is_of_a_model_that_the_library_prices_and_fits_into_its_context(provider, model):
    assert 0 < output_limit(provider, model) < MODELS[provider, model].context_window


def test_models_and_providers_that_nobody_stated_one_for_have_none():
    assert output_limit("openai", "gpt-99") is None
    assert output_limit("nobody", "gpt-5") is None
