import msgspec
import pytest

from exporters.journal.quarantine import Quarantine
from exporters.journal.shown import MAX_TEXT_CHARS, shown, without_keys
from tests.fakes.records import call, call_id, opened


def entry(tmp_path, reason, *lines):
    Quarantine(tmp_path).put("w", 1, reason, list(lines))
    return Quarantine(tmp_path).entries()[0]


def test_lines_that_can_be_read_are_shown_as_what_they_are(tmp_path):
    lines = [msgspec.json.encode(record) for record in (opened(1), call(1))]
    first, second = shown(entry(tmp_path, "unreadable", *lines), limit=5)
    assert (first.kind, first.readable, first.content["call_id"]) == ("open", True, call_id(1))
    assert (second.kind, second.size_bytes) == ("call", len(lines[1]))


def test_lines_that_cannot_be_read_are_shown_as_far_as_they_can_with_the_reason(tmp_path):
    later = msgspec.json.encode(call(1)).replace(b'"v":1', b'"v":9')
    first, second = shown(entry(tmp_path, "newer", later, b'{"half":"of \xff'), limit=5)
    assert (first.readable, first.kind, first.content["v"]) == (False, "json", 9)
    assert "<= 1" in first.problem
    assert (second.readable, second.kind, second.content) == (False, "bytes", '{"half":"of \\xff')
    assert second.problem


def test_rows_are_rows(tmp_path):
    (row,) = shown(entry(tmp_path, "refused-calls", b'{"call_id":"x"}'), limit=5)
    assert (row.kind, row.problem, row.content) == ("row", "", {"call_id": "x"})


def test_no_more_than_was_asked_for_is_shown(tmp_path):
    found = shown(entry(tmp_path, "torn", b"x" * 9999, b"y", b"z"), limit=2)
    assert [len(line.content) for line in found] == [len("[redacted]"), 1]
    assert len(shown(entry(tmp_path, "damaged", b"x y " * 999), limit=1)[0].content) <= MAX_TEXT_CHARS


@pytest.mark.parametrize(
    "key",
    ["sk-proj-4fK29dLmQz8XyT0aB1cD2eF3", "AKIAIOSFODNN7EXAMPLE", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.SflKxwRJSM4"],
)
def test_a_key_in_the_bytes_of_a_damaged_line_is_not_shown(tmp_path, key):
    text = f'{{"Authorization":"Bearer {key}"'.encode()
    whole = msgspec.json.encode({"a": [{"b": f"Bearer {key}", key: 1}]})
    for line in shown(entry(tmp_path, "damaged", text, whole), limit=5):
        assert key not in msgspec.json.encode(line.content).decode()
        assert "[redacted]" in msgspec.json.encode(line.content).decode()


@pytest.mark.parametrize(
    "harmless", [call_id(123), "0af7651916cd43dd8448eb211c80319c", "1795000000123456789012", "cache_write_5m_tokens"]
)
def test_ids_and_names_stay(harmless):
    assert without_keys(f"a {harmless} b") == f"a {harmless} b"
