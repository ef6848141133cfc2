import re

import pytest

from exporters.schema.views import view_statements
from proxy.core.semconv import SERVER_SPAN, client_names


@pytest.mark.parametrize("convention", ["1.41", "genai-dev"])
def test_every_name_of_the_convention_is_in_the_view(convention):
    spans, _ = view_statements(convention)
    for attribute in {*client_names(convention).values(), *SERVER_SPAN.values()}:
        assert f"'{attribute}'" in spans, attribute


def test_names_come_from_the_convention_or_are_our_own():
    spans, _ = view_statements("1.41")
    named = set(re.findall(r"'((?:gen_ai|http|url|server|error)\.[a-z_.]+)'", spans))
    assert named == {*client_names("1.41").values(), *SERVER_SPAN.values()}


def test_the_version_of_the_convention_can_be_switched():
    old, new = view_statements("1.41")[0], view_statements("genai-dev")[0]
    assert "gen_ai.usage.cache_creation.input_tokens" in old
    assert "gen_ai.usage.cache_creation.input_tokens" not in new
    assert "gen_ai.usage.cache_write.input_tokens" in new


def test_views_are_made_anew():
    assert all(statement.startswith("CREATE OR REPLACE VIEW") for statement in view_statements("1.41"))
