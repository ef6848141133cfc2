"""Routes, outcome rules and aliases come out of the files as they are written, and every mistake of them is told."""

import pytest

from policies.load import PolicyError, load_policies
from policies.routes_check import Known
from policies.routes_compiled import NO_ROUTING

CHAT, MESSAGES = "openai.chat", "anthropic.messages"
PROVIDERS = {
    "minimax": Known(dialects=frozenset({CHAT, MESSAGES}), keys=frozenset({"eu"})),
    "openai": Known(dialects=frozenset({CHAT})),
    "anthropic": Known(dialects=frozenset({MESSAGES})),
}
GOOD = """\
version: 1
aliases: {Fast: quick, quick: minimax/MiniMax-M3}
routes:
  chat: {targets: [minimax, openai/gpt-5-mini]}
outcomes:
  out-of-money: {when: {status: 200}, is: billing}
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="p.yaml"):
        file = tmp_path / name
        file.write_text(text)
        return file

    return write


def told(*files, providers=PROVIDERS):
    with pytest.raises(PolicyError) as caught:
        load_policies(files, providers=providers)
    return [str(problem).replace(str(files[0].parent) + "/", "") for problem in caught.value.problems]


def test_aliases_are_resolved_over_all_files(write):
    one = write("version: 1\naliases: {Fast: quick}\n", "a.yaml")
    other = write("version: 1\naliases: {quick: minimax/MiniMax-M3}\n", "b.yaml")

    aliases = load_policies([one, other], providers=PROVIDERS).routing.aliases

    assert aliases == {"fast": "minimax/MiniMax-M3", "quick": "minimax/MiniMax-M3"}


def test_routes_are_of_the_hash_and_files_without_any_have_none(write):
    plain, routed = load_policies([write("version: 1\n")]), load_policies([write(GOOD)])

    assert plain.routing is NO_ROUTING
    assert plain.hash != routed.hash


def test_every_mistake_is_told_at_once_with_its_line(write):
    file = write(
        """\
version: 1
aliases:
  a: b
  b: a
  c: nobody/x
routes:
  one:
    match: {dialect: anthropic.messages}
    targets:
      - minimx/MiniMax-M3
      - openai/gpt-5
      - {provider: minimax, kye: eu}
    timeouts: {call: soon}
  two:
    hedge: {p95: true}
  all:
    targets: [minimax]
  late:
    match: {team: a}
    targets: [minimax]
outcomes:
  nothing: {is: billing}
  odd: {when: {status: 999}, is: bad}
"""
    )

    found = told(file)

    for line, words in [
        (3, "leads round in a loop: a -> b -> a"),
        (5, "'nobody/x' is no provider/model"),
        (9, "there is no provider 'minimx'; did you mean minimax?"),
        (9, "openai/gpt-5 does not speak anthropic.messages"),
        (12, "unknown key kye"),
        (13, "must be a duration"),
        (14, "needs targets"),
        (15, "needs after"),
        (18, "no call reaches it"),
        (22, "would be the outcome of every attempt"),
        (23, "must be a status"),
        (23, "must be ok, or a class"),
    ]:
        assert [one for one in found if one.startswith(f"p.yaml:{line}: ") and words in one], (line, words, found)


def test_a_name_stands_once_in_all_files(write):
    one, other = write(GOOD, "a.yaml"), write(GOOD, "b.yaml")

    found = told(one, other)

    assert [one.split(": ")[1] for one in found] == [
        "aliases.Fast",
        "aliases.quick",
        "routes.chat",
        "outcomes.out-of-money",
    ]
    assert all("a.yaml" in one and "stands twice" in one for one in found)


def test_without_providers_only_what_needs_none_is_checked(write):
    text = "version: 1\nroutes: {r: {match: {dialect: openai.chat}, targets: [anyone/x, other/y]}}\n"

    assert load_policies([write(text)]).routing.routes
    assert len(told(write(text))) == 2
