"""A part of `make failover-load`: each app, a few calls."""

import random

import pytest

from tests.failover.apps import APPS
from tests.failover.load import run


@pytest.mark.real
@pytest.mark.parametrize("name", APPS)
async def test_apps_see_good_answers_of_a_provider_that_fails_three_in_ten(name):
    assert await run(name, 48, random.Random(3)) == 1.0
