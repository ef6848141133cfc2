from hypothesis import given
from hypothesis import strategies as st

from proxy.config.problems import Place, Report
from proxy.config.source import read_yaml


def read(text):
    report = Report("t.yaml")
    return read_yaml(text, report), report


def said(text):
    return [str(problem) for problem in read(text)[1].problems]


@given(st.text())
def test_no_text_breaks_the_reader(text):
    values, report = read(text)
    assert values is not None or report.problems


def test_an_empty_file_is_an_empty_mapping():
    assert read("")[0] == {}
    assert read("# nothing\n")[0] == {}


def test_every_key_and_item_remembers_its_place():
    _, report = read("a:\n  b: 1\nlist:\n  - x\n  - y: 2\n")
    assert report.places["a", "b"] == Place(2, 3)
    assert report.places["list", 1, "y"] == Place(5, 5)
    assert report.places["list", 0] == Place(4, 5)


def test_a_key_that_stands_twice_is_a_problem_with_both_lines():
    assert said("listen: 1\nx: {a: 1}\nlisten: 2\n") == ["t.yaml:3: listen: stands twice; the first is on line 1"]


def test_merged_keys_may_be_overridden():
    values, report = read("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n")
    assert values["use"] == {"x": 1, "y": 3}
    assert not report.problems


def test_a_tab_is_named():
    assert said("a:\n\tb: 1\n") == ["t.yaml:2: is not valid YAML: a tab stands where spaces are needed"]


def test_syntax_errors_have_a_line_and_quote_nothing():
    (message,) = said("a: 1\nkey: *sk-secret-1\n")
    assert message.startswith("t.yaml:2: is not valid YAML")
    assert "secret" not in message


def test_a_list_at_the_top_is_refused():
    assert "must hold keys and values" in said("- a\n")[0]


def test_two_documents_are_refused():
    assert said("a: 1\n---\nb: 2\n")[0].startswith("t.yaml:2: is not valid YAML")


def test_control_characters_have_a_place():
    assert said("a: 1\nb: \x07\n") == ["t.yaml:2: is not valid YAML: it holds a control character"]


def test_keys_that_are_no_text_are_refused():
    assert said("? [a, b]\n: 1\n") == ["t.yaml:1: a key must be plain text"]


def test_an_alias_to_itself_ends():
    assert "aliases" in said("a: &a [*a]\n")[0]


def test_aliases_that_multiply_end():
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
    )
    assert "aliases" in said(text)[0]


def test_deep_nesting_ends():
    assert said("[" * 5000) != []


def test_a_date_that_does_not_exist_is_a_problem_of_its_key():
    assert said("semconv: 2026-13-45\n") == ["t.yaml:1: semconv: is no value that YAML can read; put it in quotes"]
