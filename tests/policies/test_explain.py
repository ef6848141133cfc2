"""What `taximeter policy explain` prints."""

from msgspec import structs

from policies.compiled import Budget, CompiledPolicies, Window
from policies.conditions import Condition, Match
from policies.engine import Engine
from policies.explain import as_json, explain
from policies.facts import CallFacts, Inputs
from policies.trial import attempt
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

CALL = CallFacts(
    provider="minimax",
    operation="chat",
    inputs=Inputs(text_bytes=976),
    request=RequestFacts(model="m", max_output_tokens=1000),
    caller=Caller(team="search"),
)
RULES = tuple(
    Budget(
        name=name,
        policy=f"budget:{name}",
        place=f"p.yaml:{line}",
        match=match,
        per=("team",),
        unit="tokens",
        limit=10_000,
        window=Window(shape="day"),
    )
    for line, (name, match) in enumerate(
        [("own", Match()), ("others", Match(conditions=(Condition(field="team", values=("ads",)),)))], 3
    )
)
ENGINE = Engine(CompiledPolicies(budgets=RULES))


def tried(spent):
    return attempt(ENGINE, CALL, 0, {"budget:own|team=search": spent})


def test_a_call_that_fits_is_explained():
    assert explain(ENGINE, CALL, tried(0), 0).splitlines() == [
        "chat of m at minimax, by team search, at 1970-01-01T00:00:00Z",
        "It can use 2000 tokens of input and 1000 tokens of output (input=bytes output=max_tokens); no price is known.",
        "",
        "It would be ADMITTED.",
        "",
        "Rules that it falls under, in their order:",
        "  budget:own for team=search: 10000 tokens each day (UTC), hard  [p.yaml:3]",
        "    holds 3000 tokens in budget:own|team=search@1970-01-01T00:00:00Z, empty again at 1970-01-02T00:00:00Z",
        "",
        "Rules that it does not fall under:",
        "  budget:others: team is search, not ads  [p.yaml:4]",
        "",
        "Reasons on its record:",
        "  budget:own:hold=3000tokens",
    ]


def test_a_call_that_does_not_fit_is_explained():
    page = explain(ENGINE, CALL, tried(9000), 0)

    assert "It would be REFUSED with 429 budget_exceeded, retry-after 86400 s: budget own (team=search): " in page


def test_programs_get_the_same():
    shown = as_json(ENGINE, CALL, tried(9000), 0)

    assert (shown["decision"], shown["status"], shown["code"]) == ("deny", 429, "budget_exceeded")
    assert shown["bound"] == {"input_tokens": 2000, "output_tokens": 1000, "how": "input=bytes output=max_tokens"}
    assert shown["draws"][0]["amount"] == "3000 tokens"
    assert as_json(ENGINE, CALL, tried(0), 0)["decision"] == "allow"


def test_a_rule_that_assumes_an_output_says_so():
    rule = Budget(
        name="b",
        policy="budget:b",
        unit="tokens",
        limit=10_000,
        window=Window(shape="total"),
        assume_output_tokens=500,
    )
    engine = Engine(CompiledPolicies(budgets=(rule,)))
    call = CallFacts(
        provider="p", operation="chat", inputs=Inputs(text_bytes=976), request=RequestFacts(model="m"), caller=Caller()
    )
    page = explain(engine, call, attempt(engine, call, 0, {}), 0)

    assert "    for 2000 tokens of input and 500 tokens of output (input=bytes output=assumed)" in page


def test_a_hold_that_grows_says_by_what_and_what_becomes_of_the_call():
    open_ended = structs.replace(CALL, request=RequestFacts(model="m"))

    def growing(**more):
        engine = Engine(CompiledPolicies(budgets=(structs.replace(RULES[0], **more),)))
        return explain(engine, open_ended, attempt(engine, open_ended, 0, {}), 0)

    assert (
        "    and 500 tokens more for every further 500 tokens of output of a stream; without room it is cut\n"
    ) in growing(assume_output_tokens=500)
    assert (
        "    and 70 tokens more for every further 1048576 bytes of a stream; without room it is left to finish\n"
    ) in growing(unbounded=70, cuts=False)
    assert "further" not in explain(ENGINE, CALL, tried(0), 0)
