"""The recorded exchanges of one dialect as test parameters, and what every one of them is held to."""

import random

import pytest

from tests.fakes.dialect_reading import laid_out, read
from tests.fakes.wire import ROOT, cases, differences

NO_CORPUS = pytest.mark.skip(reason=f"no recorded traffic at {ROOT} (set TAXIMETER_WIRE)")

LEFT_TO_THE_PROVIDER = {"gem-openai-compat-hidden-thinking": {"usage.output_tokens", "usage.reasoning_tokens"}}
"""What only the provider knows: the reader gives the total, and the provider's `amend` finds the hidden thinking."""


def recorded(dialect):
    """All cases of a dialect; one that is skipped with the reason where there is no corpus."""
    found = [pytest.param(case, id=case.id) for case in cases(dialect.name)]
    return found or [pytest.param(None, marks=NO_CORPUS, id="no corpus")]


def assert_reads_as_recorded(dialect, case):
    """The facts are those of `expected.json`, and the same however the bytes are cut."""
    how = {"status": case.status, "content_type": case.header("content-type").partition(";")[0]}
    facts, saw_content = read(dialect, case.body, **how)
    seen = laid_out(facts, case.expected["model_requested"])
    for path in LEFT_TO_THE_PROVIDER.get(case.id, ()):
        del seen[path]
    assert differences(case.expected, seen) == []
    assert saw_content == _has_content(case.expected)
    for sizes in _cuts(case):
        assert read(dialect, case.body, sizes=sizes, **how) == (facts, saw_content)


def assert_request_reads_as_recorded(dialect, case):
    """The request has the model and the mode that were recorded, where they stand in the body."""
    facts = dialect.read_request(case.request)
    assert facts.unread is None
    if facts.model is not None:
        assert facts.model == case.expected["model_requested"]
        assert facts.streaming in {case.expected["streaming"], *case.expected.get("accept", {}).get("streaming", ())}


def _has_content(expected):
    said = (expected["text"], expected["reasoning_text"], expected["tool_calls"])
    return any(said) or "refusal" in expected.get("extra", {})


def _cuts(case):
    """Sizes of pieces: at the offsets of the case, in a few pieces at random places, byte by byte."""
    offsets = case.meta["split_offsets"] or []
    yield [end - start for start, end in zip([0, *offsets], offsets, strict=False)]
    chance = random.Random(case.id)
    for _ in range(5):
        yield [chance.randint(1, max(1, len(case.body) // 3)) for _ in range(6)]
    yield [1] * len(case.body)
