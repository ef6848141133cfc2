"""Files become rules, and every mistake of every file is told at once."""

import pytest

from policies.compiled import ModelRate, from_json, to_json
from policies.load import PolicyError, find_files, load_policies, read_source
from proxy.config.problems import Report

GOOD = """\
version: 1
budgets:
  search: {limit: 5 USD, window: month, match: {team: search}}
limits:
  rpm: {limit: 60 calls, every: minute, per: key}
keys:
  ci: {team: search}
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="policy.yaml"):
        file = tmp_path / name
        file.write_text(text)
        return file

    return write


def problems(*files, providers=None):
    with pytest.raises(PolicyError) as caught:
        load_policies(files, providers=providers)
    return [str(problem).replace(str(files[0].parent) + "/", "") for problem in caught.value.problems]


def test_rules_come_out_as_they_are_written(write):
    policies = load_policies([write(GOOD)], generation=3)

    assert [rule.policy for rule in (*policies.budgets, *policies.limits)] == ["budget:search", "limit:rpm"]
    assert policies.budgets[0].place.endswith("policy.yaml:3")
    assert policies.keys["ci"].team == "search"
    assert policies.generation == 3
    assert from_json(to_json(policies)) == policies


def test_equal_rules_have_equal_hashes_whatever_their_generation(write):
    file = write(GOOD)
    one, other = load_policies([file], generation=1), load_policies([file], generation=2)
    rate = ModelRate(id="x", provider="p", models=("m",), currency="USD")

    assert one.hash == other.hash
    assert one.hash != load_policies([file], rates=(rate,)).hash


def test_files_are_merged_in_the_order_of_their_names(write, tmp_path):
    write(GOOD.replace("search:", "b-search:").replace("rpm:", "b-rpm:").replace("ci:", "b-ci:"), "b.yaml")
    write(GOOD, "a.yaml")
    write("version: 1\ncases: []\n", "a.test.yaml")
    files = find_files([str(tmp_path / "*.yaml"), str(tmp_path / "b.yaml")])

    assert [file.name for file in files] == ["a.yaml", "b.yaml"]
    assert [budget.name for budget in load_policies(files).budgets] == ["search", "b-search"]


def test_no_files_are_no_policies(tmp_path):
    assert load_policies(find_files([str(tmp_path / "*.yaml")])).budgets == ()


def test_a_name_that_two_files_give_is_told_with_both_places(write):
    found = problems(write(GOOD, "a.yaml"), write(GOOD, "b.yaml"))

    assert len(found) == 3
    assert found[0].startswith("b.yaml:3: budgets.search: stands twice; the first is at ")
    assert found[0].endswith("a.yaml:3")


def test_every_mistake_is_told_at_once_with_its_line_and_the_right_spelling(write):
    text = """\
version: 1
budgets:
  a: {limt: 5 USD, window: month}
  b: {limit: 5, window: monthly}
  c: {limit: 5 USD, window: month, match: {teem: x}, thresholds: [{at: 80%, do: [shout]}]}
limits:
  d: {limit: 5 calls}
roots: {}
"""
    assert problems(write(text)) == [
        "policy.yaml:3: budgets.a: needs a limit, such as limit: 5 USD",
        "policy.yaml:3: budgets.a.limt: unknown key; did you mean limit?",
        'policy.yaml:4: budgets.b.limit: must be an amount with its unit, such as "5 USD", "200k tokens", "1000 calls" or "30 images"',
        "policy.yaml:4: budgets.b.window: must be hour, day, week, month, total, or rolling with a length, such as rolling 24h",
        "policy.yaml:5: budgets.c.match.teem: unknown key; did you mean team?",
        "policy.yaml:5: budgets.c.thresholds[0].do[0]: must be 'alert', 'header', 'downgrade', 'require_key' or 'deny'",
        "policy.yaml:7: limits.d: needs the time in which the limit is there anew, such as every: minute",
        "policy.yaml:8: roots: unknown key; did you mean routes?",
    ]


@pytest.mark.parametrize(("name", "said"), [("guards", "guards are not there yet"), ("fallbacks", "is no section")])
def test_sections_that_are_to_come_or_are_none_say_so(write, name, said):
    (problem,) = problems(write(f"version: 1\n{name}: {{a: 1}}\n"))

    assert problem.startswith(f"policy.yaml:2: {name}: {said}")


def test_a_provider_that_is_not_configured_is_told(write):
    text = GOOD.replace("{team: search}}", "{provider: [minimx, 'open*']}}")

    assert problems(write(text), providers=["minimax", "openai"]) == [
        "policy.yaml:3: budgets.search.match.provider: no such provider; did you mean minimax?"
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"\xff\xfe\x00", "not UTF-8"), (b"#" * (4 * 1024 * 1024 + 1), "larger than"), (b"a: [", "not valid YAML")],
)
def test_what_is_no_policy_file_is_told(tmp_path, data, says):
    (tmp_path / "policy.yaml").write_bytes(data)

    (problem,) = problems(tmp_path / "policy.yaml")
    assert says in problem


def test_a_file_that_is_not_there_is_told(tmp_path):
    report = Report("x")

    assert read_source(tmp_path / "none.yaml", report) is None
    assert str(report.problems[0]) == "x: cannot be read: no such file or directory"


@pytest.mark.parametrize("text", ["", "budgets: {}\n", "version: 2\n"])
def test_a_file_says_what_language_it_is_written_in(write, text):
    (problem,) = problems(write(text))

    assert "needs version: 1" in problem
