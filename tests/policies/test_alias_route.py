"""No target of a call is left with a name that only we know."""

from policies.alias_route import of_alias
from policies.routes_compiled import Route, RouteTarget

PROVIDERS = ("a", "b")


def route(*targets):
    made = tuple(RouteTarget(id=f"{home}/{model or '*'}", provider=home, model=model) for home, model in targets)
    return Route(name="r", targets=made)


def models(made):
    return [(one.provider, one.model) for one in made.targets]


def test_without_a_route_it_is_the_way_to_what_the_alias_stands_for():
    made = of_alias("b/x/y", None, PROVIDERS)

    assert (made.name, [one.id for one in made.targets], models(made)) == ("alias", ["b/x/y"], [("b", "x/y")])


def test_targets_that_name_no_model_are_asked_for_that_of_the_alias():
    assert models(of_alias("b/x", route(("a", None), ("b", "own")), PROVIDERS)) == [("a", "x"), ("b", "own")]


def test_a_route_whose_targets_all_name_models_stays_as_it_is():
    own = route(("a", "m"), ("b", "n"))

    assert of_alias("b/x", own, PROVIDERS) is own


def test_what_leads_nowhere_changes_nothing():
    assert of_alias("c/x", None, PROVIDERS) is None
