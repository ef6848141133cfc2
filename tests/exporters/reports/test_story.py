from exporters.reports.one_call import ATTEMPT, CALL, WholeCall
from exporters.reports.story import story

EMPTY = dict.fromkeys(("started_at", *CALL, *ATTEMPT)) | {"tags": {}, "reasons": [], "changes": [], "price_lines": []}
CALLED = EMPTY | {
    "call_id": "c1", "started_at": "2026-11-24T12:00:00+00:00", "method": "POST", "path": "/v1/chat", "operation": "chat",
    "model_requested": "m", "streaming": True, "team": "search", "tags": {"env": "test"}, "outcome": "ok", "status": 200,
    "duration_ms": 1234.5, "overhead_ms": 0.6, "cost": "0.0007", "currency": "USD", "cost_estimated": True,
    "reasons": ["budget:search"],
}  # fmt: skip
TRIED = EMPTY | {
    "attempt": 1, "provider": "minimax", "host": "api.minimax.io", "model": "m", "target": "cheap", "rule": "rule:slow",
    "offset_ms": 0.3, "duration_ms": 1200.0, "ttft_ms": 300.0, "outcome": "ok", "status": 200, "finish_reason": "stop",
    "input_tokens": 1200, "usage_source": "provider", "cost": "0.0007", "currency": "USD", "cost_source": "book",
    "price_id": "book/m", "price_lines": [{"formula": "input: 1,200 x 0.3 / 1,000,000 = 0.00036 USD"}],
}  # fmt: skip


def test_a_story_has_who_what_waits_rules_and_the_sum():
    told = story(
        WholeCall(call=CALLED, attempts=[TRIED], reasons={"usage_estimated": "the usage itself is an estimate"})
    )
    for part in (
        "call c1, 2026-11-24T12:00:00+00:00",
        "POST /v1/chat: chat, model m, streamed",
        "team search, env=test",
        "budget:search",
        "ok, status 200 after 1,234.5 ms, of it 0.6 ms in the proxy",
        "try 1 of 1  minimax api.minimax.io, model m, target cheap, 0.3 ms in",
        "(first token after 300.0 ms)",
        "judged by rule:slow",
        "tokens: input 1,200 (by provider)",
        "input: 1,200 x 0.3 / 1,000,000 = 0.00036 USD",
        "= 0.0007 USD, by book book/m",
        "cost      0.0007 USD (estimated)",
        "usage_estimated: the usage itself is an estimate",
    ):
        assert part in told


def test_a_refused_call_has_a_story_too():
    told = story(
        WholeCall(call=EMPTY | {"duration_ms": 1.0, "overhead_ms": 1.0, "outcome": "refused"}, attempts=[], reasons={})
    )
    assert "caller    unknown" in told
    assert told.endswith("cost      not known\n")


def test_foreign_text_steers_no_terminal():
    told = story(WholeCall(call=CALLED | {"team": "\x1b[2J"}, attempts=[], reasons={}))
    assert "\x1b" not in told
