from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.query import REDACTED, query_value, redacted, without_parameter

PARTS = st.lists(st.sampled_from(["a=1", "alt=sse", "b", "", "GroupId=1800000000000000001", "c=%20+x", "monkey=1"]))


@given(PARTS, PARTS, st.text(min_size=1, alphabet=st.characters(codec="utf-8")))
def test_a_key_is_found_and_taken_off_and_the_rest_stays_byte_for_byte(before, after, key):
    query = "&".join([*before, f"key={quote(key, safe='')}", *after])

    assert query_value(query, "key") == key
    assert without_parameter(query, "key") == "&".join([*before, *after])


@given(PARTS)
def test_a_query_without_secrets_is_not_changed(parts):
    query = "&".join(parts)

    assert query_value(query, "key") is None
    assert without_parameter(query, "key") == query
    assert redacted(query) == query


def test_names_are_compared_decoded():
    assert query_value("%6bey=x", "key") == "x"
    assert without_parameter("a=1&k%65y=x", "key") == "a=1"


def test_values_of_secret_parameters_are_redacted_in_every_spelling():
    assert redacted("key=AIza&alt=sse") == f"key={REDACTED}&alt=sse"
    assert redacted("a=1&API_KEY=x&subscription-key=y&api-version=2024") == (
        f"a=1&API_KEY={REDACTED}&subscription-key={REDACTED}&api-version=2024"
    )
    assert redacted("%6Bey=AIza") == f"%6Bey={REDACTED}"
    assert redacted("sig=a=b==") == f"sig={REDACTED}"
    assert redacted("key") == "key"
