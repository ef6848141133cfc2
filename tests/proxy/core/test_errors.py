from typing import get_args

import pytest

from proxy.core.errors import REMEDIES, ErrorClass, ErrorSeen, Remedy, judge

SEEN = ErrorSeen(status=429, code="c", type="t", message="m", detail="d")


def test_every_class_has_a_remedy():
    assert set(REMEDIES) == set(get_args(ErrorClass))


@pytest.mark.parametrize("error_class", get_args(ErrorClass))
def test_an_error_allows_what_its_class_allows_until_a_stream_has_begun(error_class):
    whole = judge(SEEN, error_class)
    begun = judge(ErrorSeen(status=200, in_stream=True), error_class)
    remedy = REMEDIES[error_class]

    assert (whole.retry_same, whole.fallback, whole.fault) == (remedy.retry_same, remedy.fallback, remedy.fault)
    assert (begun.retry_same, begun.fallback, begun.fault) == ("no", "no", remedy.fault)


def test_what_the_provider_stated_is_kept_and_a_given_remedy_wins():
    facts = judge(SEEN, "permission", Remedy("no", "no", "client"))

    assert (facts.error_class, facts.code, facts.type, facts.message) == ("permission", "c", "t", "m")
    assert (facts.retry_same, facts.fallback, facts.fault) == ("no", "no", "client")
