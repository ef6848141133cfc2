"""Ids sort by time, have the length that their standards ask for, and do not repeat."""

import re

from proxy.ids import new_call_id, new_span_id


def test_ids_have_the_form_of_their_standards():
    assert re.fullmatch("[0-9a-f]{32}", new_call_id())
    assert re.fullmatch("[0-9a-f]{16}", new_span_id())


def test_ids_do_not_repeat():
    assert len({new_call_id() for _ in range(10_000)}) == 10_000
    assert len({new_span_id() for _ in range(10_000)}) == 10_000


def test_call_ids_sort_by_time(monkeypatch):
    monkeypatch.setattr("proxy.ids.time.time_ns", lambda: 1_700_000_000_000_000_000)
    earlier = new_call_id()
    monkeypatch.setattr("proxy.ids.time.time_ns", lambda: 1_700_000_000_001_000_000)

    assert earlier < new_call_id()
