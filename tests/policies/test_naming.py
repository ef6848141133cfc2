"""What a model means: the route that names it, then what it stands for, then any other route."""

import pytest

from policies.conditions import Condition, Match
from policies.naming import LONGEST_CHARS, meaning_of
from policies.routes_compiled import Route, RouteTarget

ALIASES = {"fast": "a/x"}
PROVIDERS = ("a", "b")
TARGETS = (RouteTarget(id="a/*", provider="a"),)
ANY = Route(name="any", targets=TARGETS)
NAMED = Route(name="named", targets=TARGETS, match=Match(conditions=(Condition(field="model", values=("fast",)),)))
NOT_NAMED = Route(
    name="not", targets=TARGETS, match=Match(conditions=(Condition(field="model", values=("m",), negated=True),))
)


@pytest.mark.parametrize(
    ("named", "route", "kept", "stands_for"),
    [
        ("Fast", None, None, ("a", "x")),
        ("B/y/z", None, None, ("b", "y/z")),
        ("fast", ANY, None, ("a", "x")),
        ("fast", NOT_NAMED, None, ("a", "x")),
        ("fast", NAMED, NAMED, ("a", "x")),
        ("other", ANY, ANY, None),
        ("other", None, None, None),
        ("c/x", ANY, ANY, None),
        ("a/x\n", None, None, None),
        ("a/" + "x" * LONGEST_CHARS, None, None, None),
    ],
)
def test_a_model_means(named, route, kept, stands_for):
    meaning = meaning_of(named, route, ALIASES, PROVIDERS)

    assert (meaning.route, meaning.stands_for) == (kept, stands_for)
