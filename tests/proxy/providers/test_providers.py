"""What holds for every kind of provider."""

import importlib
import pkgutil
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import providers
from proxy.core.errors import ErrorClass, ErrorSeen
from proxy.core.facts import AnswerHead
from proxy.providers import PROVIDERS, find_provider
from proxy.providers.base import Provider
from tests.fakes import wire

HEADINGS = ["What:", "Config:", "Example:", "Source:"]
CLASSES = set(get_args(ErrorClass))
CASES = [wire.load(path.parent) for path in sorted(wire.ROOT.glob("*/meta.json"))]


def routed(case):
    provider = find_provider(case.meta["provider"])
    path, _, _ = case.meta["request"]["path"].partition("?")
    return provider, provider.route(case.meta["request"]["method"], path)


READ_CASES = [case for case in CASES if routed(case)[1].dialect is not None]
READ_ERRORS = [
    case for case in READ_CASES if case.expected["error"] and case.expected["error"]["class"] != "bad_upstream_body"
]
AMENDED = [case for case in READ_CASES if case.expected["usage"] and routed(case)[0].amend is not None]
needs_corpus = pytest.mark.skipif(
    not CASES, reason="the corpus of recorded traffic is not on this machine; set TAXIMETER_WIRE"
)
each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.kind)


def module_of(provider):
    return importlib.import_module(f"proxy.providers.{provider.kind}")


@each_provider
def test_a_provider_is_a_file_of_its_kinds_name_with_the_four_headings(provider):
    module = module_of(provider)

    assert provider in [value for value in vars(module).values() if isinstance(value, Provider)]
    assert [line for line in module.__doc__.splitlines() if line in HEADINGS] == HEADINGS
    assert find_provider(provider.kind) is provider


def test_every_provider_file_is_in_the_tuple():
    kinds = {provider.kind for provider in PROVIDERS}
    shared = {"base", "judgement", "paths", "routing", "surfaces"}

    assert {module.name for module in pkgutil.iter_modules(providers.__path__)} == kinds | shared
    with pytest.raises(KeyError):
        find_provider("nobody")


def test_built_in_names_are_unique_and_their_urls_are_host_roots():
    names = [name for provider in PROVIDERS for name in provider.base_urls]

    assert sorted(names) == [
        "anthropic",
        "deepseek",
        "gemini",
        "llmapi",
        "minimax",
        "minimax-cn",
        "openai",
        "openrouter",
    ]
    for provider in PROVIDERS:
        for url in provider.base_urls.values():
            assert url.startswith("https://")
            assert url.count("/") == 2


@given(
    st.sampled_from(PROVIDERS),
    st.text(max_size=40),
    st.sampled_from(["GET", "POST", "OPTIONS", ""]),
    st.text(max_size=40),
)
def test_no_path_is_an_error(provider, path, method, query):
    route = provider.route(method, path)

    assert route.operation
    assert provider.injects_usage is None or provider.injects_usage(path, query) in {True, False}


@given(
    st.sampled_from(PROVIDERS),
    st.integers(0, 999),
    st.none() | st.text(max_size=8) | st.integers(0, 30_000).map(str),
    st.none() | st.text(max_size=40),
)
def test_no_error_is_without_a_class(provider, status, code, message):
    facts = provider.judge(ErrorSeen(status=status, code=code, message=message))

    assert facts.error_class in CLASSES


@needs_corpus
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_recorded_traffic_is_known_by_its_path_and_its_request_id(case):
    provider, route = routed(case)
    ids = [case.header(name) for name in provider.request_id_headers]

    assert route.operation == case.meta["operation"]
    assert route.dialect is None or route.dialect.name == case.meta["protocol"]
    assert route.dialect is not None or route.operation != "chat"
    assert next((found for found in ids if found), None) == case.expected["request_id"]
    if case.expected.get("extra", {}).get("billable") is False:
        assert not route.billable


@needs_corpus
@pytest.mark.parametrize("case", READ_ERRORS, ids=lambda case: case.id)
def test_recorded_errors_are_judged_as_they_should_be(case):
    provider, route = routed(case)
    expected = case.expected["error"]
    facts = read(route.dialect, case)
    judged = provider.judge(facts.error)

    assert judged.error_class == expected["class"]
    assert (judged.code, judged.type) == (expected["provider_code"], expected["provider_type"])
    assert (judged.retry_same, judged.fallback, judged.fault) == (
        expected["retry_same"],
        expected["fallback"],
        expected["fault"],
    )


@needs_corpus
@pytest.mark.parametrize("case", AMENDED, ids=lambda case: case.id)
def test_recorded_usage_is_right_after_the_providers_amendment(case):
    provider, route = routed(case)
    facts = provider.amend(route.dialect.read_request(case.request), read(route.dialect, case))

    assert facts.usage.input_tokens == case.expected["usage"]["input_tokens"]
    assert facts.usage.output_tokens == case.expected["usage"]["output_tokens"]
    assert facts.usage.reasoning_tokens == case.expected["usage"]["reasoning_tokens"]


def read(dialect, case):
    kind = case.header("content-type").partition(";")[0].strip().lower()
    reader = dialect.reader(AnswerHead(status=case.status, content_type=kind))
    reader.feed(case.body)
    return reader.finish(clean=True)
