import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.check import checked
from proxy.config.problems import Report
from proxy.config.schema import Config


def said(raw):
    report = Report("t.yaml")
    checked(raw, report, Config)
    return [str(problem) for problem in report.problems]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"admn": 1}, "t.yaml: admn: unknown key; did you mean admin?"),
        ({"workers": 0}, "t.yaml: workers: must be a whole number from 1 to 256, or auto"),
        ({"builtin_providers": "no"}, "t.yaml: builtin_providers: must be true or false"),
        ({"store": []}, "t.yaml: store: must be a section of keys and values"),
        ({"providers": "minimax"}, "t.yaml: providers: must be a section of keys and values"),
        ({"prices": "p.yaml"}, "t.yaml: prices: must be a list, one `- value` a line"),
        ({"prices": [1]}, "t.yaml: prices[0]: must be text; put it in quotes"),
        ({"data_dir": ""}, "t.yaml: data_dir: must not be empty"),
        ({"semconv": "2"}, "t.yaml: semconv: must be '1.41' or 'genai-dev'"),
        ({"providers": {"p": {"max_connections": 0}}}, "t.yaml: providers.p.max_connections: must be at least 1"),
        ({"providers": {"p": {"max_connections": 1.5}}}, "t.yaml: providers.p.max_connections: must be a whole number"),
        (
            {"providers": {"p": {"tls": {"verfy": True}}}},
            "t.yaml: providers.p.tls.verfy: unknown key; did you mean verify?",
        ),
    ],
)
def test_mistakes_are_worded_with_what_would_be_right(raw, message):
    assert said(raw) == [message]


def test_a_literal_key_is_refused_with_the_reference_to_write():
    (message,) = said({"providers": {"minimax-cn": {"api_key": "sk-live-secret"}}})
    assert "env:MINIMAX_CN_API_KEY" in message
    assert "sk-live" not in message


def test_all_mistakes_are_reported_at_once_and_the_rest_is_kept():
    report = Report("t.yaml")
    config = checked({"listen": "nope", "admn": 1, "workers": 3, "prices": [1, "a.yaml", 2]}, report, Config)
    assert len(report.problems) == 4
    assert config.workers == 3
    assert config.prices == ["a.yaml"]
    assert config.listen == Config().listen


@given(
    st.dictionaries(
        st.sampled_from([*Config.model_fields, "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["kind", "tls", "url", "x", "idle"]), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        max_size=5,
    )
)
def test_any_values_give_a_config_and_a_report(raw):
    assert isinstance(checked(raw, Report("t.yaml"), Config), Config)
