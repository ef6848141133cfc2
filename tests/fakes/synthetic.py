"""Calls of an imaginary company as records, without a proxy: the same seed and count make the same calls.

`synthetic_calls(1_000_000)` is a month with its days, nights and weekends, in the order of time: streams, retries and
fallbacks, every kind of failure, refusals, crashes, several currencies, subscriptions, usage that nobody reported and
a model that no price list knows. The apps are those of the demo (`proxy.sandbox.company`).
"""

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from proxy.core.errors import REMEDIES, ErrorClass, ErrorFacts
from proxy.core.money import Money
from proxy.core.record import RECORD_VERSION, AttemptRecord, Caller, CallRecord, TraceIds
from proxy.core.usage import Usage
from proxy.sandbox.company import APPS, App

SINCE = datetime(2026, 10, 25, tzinfo=UTC)
DAYS = 30
SEED = 11

_MS = 1_000_000
_HOSTS = {
    "openai": "api.openai.com",
    "anthropic": "api.anthropic.com",
    "minimax": "api.minimax.io",
    "minimax-cn": "api.minimaxi.com",
    "deepseek": "api.deepseek.com",
    "openrouter": "openrouter.ai",
}
_ANSWERING = {
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
}
"""What answers to a name that is an alias."""
_FALLBACK = {"minimax": "minimax-cn", "minimax-cn": "minimax"}
"""Where the same model is to be had in another currency."""
_CACHES = {"anthropic": 0.6, "openai": 0.3, "minimax": 0.4, "deepseek": 0.5}
"""How often a part of the prompt comes from the provider's cache."""
_PLAYERS = 2000
"""Users of the one app that the public uses."""
_TURNS_PER_SESSION = 6

_ENDINGS: dict[str, int] = {
    "ok": 902,
    "unreported": 14,
    "retried": 22,
    "fallen_back": 6,
    "failed": 22,
    "broken": 5,
    "cancelled": 14,
    "interrupted": 4,
    "refused": 11,
}
"""How a call ends, of a thousand."""
_FAILURES: dict[ErrorClass, tuple[int, int]] = {
    "rate_limit": (429, 8),
    "overloaded": (529, 5),
    "server_error": (500, 4),
    "timeout": (0, 2),
    "connect_error": (0, 1),
    "invalid_request": (400, 3),
    "context_length": (400, 3),
    "content_filter": (400, 2),
    "auth": (401, 1),
    "quota_exhausted": (402, 1),
}
"""Error class -> status, and how often among failures."""
_PASSING: tuple[ErrorClass, ...] = ("rate_limit", "overloaded", "server_error", "connect_error")
"""What a further try may overcome."""
_PROVIDER_CODES: dict[ErrorClass, str] = {"rate_limit": "rate_limit_exceeded", "content_filter": "1026", "auth": "401"}


def synthetic_calls(count: int, *, seed: int = SEED, since: datetime = SINCE, days: int = DAYS) -> Iterator[CallRecord]:
    """So many calls, spread over so many days from an aware instant on, the earliest first."""
    # Repeatability is wanted here, not secrecy.
    company = _Company(random.Random(seed))
    for at_ns in _instants(count, random.Random(seed + 1), since, days):
        yield company.call(at_ns)


def _instants(count: int, dice: random.Random, since: datetime, days: int) -> Iterator[int]:
    """Unix times in nanoseconds, rising, as dense as the hour of the week is busy."""
    hours = [since + timedelta(hours=hour) for hour in range(days * 24)]
    weights = [_busy(hour) for hour in hours]
    share, passed, hour = sum(weights) / count, 0.0, 0
    for number in range(count):
        wanted = (number + dice.random()) * share
        while hour < len(hours) - 1 and passed + weights[hour] <= wanted:
            passed += weights[hour]
            hour += 1
        within = min(0.999_999_999, (wanted - passed) / weights[hour])
        yield int(hours[hour].timestamp()) * 10**9 + int(within * 3600 * 10**9)


def _busy(hour: datetime) -> float:
    by_day = 1.0 if 8 <= hour.hour < 19 else 0.35 if 6 <= hour.hour < 23 else 0.08
    return by_day * (0.3 if hour.weekday() >= 5 else 1.0)


class _Company:
    """Draws one call after the other."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._apps = [app for app in APPS for _ in range(app.weight)]
        self._endings = [name for name, per_mille in _ENDINGS.items() for _ in range(per_mille)]
        self._failures = [name for name, (_, often) in _FAILURES.items() for _ in range(often)]
        self._tags = {app.project: _tags(app.tags) for app in APPS}
        self._sessions: dict[str, tuple[str, int]] = {}

    def call(self, at_ns: int) -> CallRecord:
        """One call that starts at that Unix time in nanoseconds."""
        dice = self._dice
        app = dice.choice(self._apps)
        ending = dice.choice(self._endings)
        draft = _Draft(app, at_ns, dice)
        if ending != "refused":
            self._attempts(draft, ending)
        last = draft.attempts[-1] if draft.attempts else None
        outcome = last.outcome if last else "refused"
        error = last.error.error_class if last and last.error else None if last else "rate_limit"
        overhead_ns = dice.randint(150_000, 1_400_000)
        end_ns = last.started_at_ns + last.duration_ns if last else at_ns
        call_id = f"{at_ns // _MS:012x}{dice.getrandbits(80):020x}"
        traced = dice.random() < 0.3
        return CallRecord(
            v=RECORD_VERSION,
            call_id=call_id,
            started_at_ns=at_ns,
            duration_ns=end_ns - at_ns + overhead_ns,
            trace=TraceIds(
                trace_id=f"{dice.getrandbits(128) | 1:032x}" if traced else call_id,
                span_id=_span_id(dice),
                parent_span_id=_span_id(dice) if traced else "",
            ),
            caller=self._caller(app),
            provider=draft.provider,
            dialect=draft.dialect,
            operation="chat",
            method="POST",
            path=draft.path,
            model_requested=app.model,
            max_output_tokens=draft.limit,
            streaming=draft.streaming,
            status=429 if last is None else last.status or (0 if outcome in {"interrupted", "cancelled"} else 504),
            outcome=outcome,
            error_class=error,
            overhead_ns=overhead_ns,
            request_bytes=draft.request_bytes,
            response_bytes=last.response_bytes if last else 180,
            client_gone=outcome == "cancelled",
            reasons=() if last else (f"rate_limit team={app.team}",),
            attempts=tuple(draft.attempts),
        )

    def _attempts(self, draft: "_Draft", ending: str) -> None:
        dice = self._dice
        if ending == "failed":
            draft.fail(dice.choice(self._failures))
        elif ending == "retried":
            for _ in range(dice.choice((1, 1, 1, 2))):
                draft.fail(dice.choice(_PASSING))
            draft.answer()
        elif ending == "fallen_back":
            # What broke in the middle of a first answer was billed by the first provider too.
            draft.answer("broken") if dice.random() < 0.5 else draft.fail("overloaded")
            draft.move()
            draft.answer()
        elif ending == "unreported":
            draft.answer(source=dice.choice(("estimated", "none")))
        else:
            draft.answer(ending)

    def _caller(self, app: App) -> Caller:
        dice = self._dice
        # The square makes some of the public come back every day and most of it seldom.
        user = f"player-{int(dice.random() ** 2 * _PLAYERS):04d}" if app.project == "tavern" else dice.choice(app.users)
        session, turns = self._sessions.get(user, ("", 0))
        if not turns:
            session, turns = f"s-{dice.getrandbits(48):012x}", dice.randint(1, _TURNS_PER_SESSION)
        self._sessions[user] = (session, turns - 1)
        return Caller(
            key_id=_key_id(app), team=app.team, project=app.project, user=user, session=session,
            tags=self._tags[app.project],
        )  # fmt: skip


class _Draft:
    """A call that is being drawn."""

    def __init__(self, app: App, at_ns: int, dice: random.Random) -> None:
        self.attempts: list[AttemptRecord] = []
        _, self.provider, rest = app.path.split("/", 2)
        self.path = f"/{rest}"
        self.dialect = (
            "anthropic.messages"
            if self.path.endswith("/messages")
            else "minimax.native"
            if "chatcompletion_v2" in self.path
            else "openai.chat"
        )
        self.streaming = dice.random() < app.streaming
        self.limit = dice.choice((None, 1024, 4096))
        self._app = app
        self._dice = dice
        self._at_ns = at_ns + dice.randint(100_000, 900_000)
        self._input_tokens = int(dice.randint(*app.prompt_words) * 1.4)
        self.request_bytes = self._input_tokens * 5 + 300

    def move(self) -> None:
        """Go to another provider of the same model, where there is one."""
        self.provider = _FALLBACK.get(self.provider, self.provider)

    def fail(self, error_class: ErrorClass) -> None:
        """One more try, without an answer."""
        status = _FAILURES[error_class][0]
        waited_ms = self._dice.randint(9000, 30_000) if error_class == "timeout" else self._dice.randint(20, 400)
        self._add(waited_ms * _MS, status=status, outcome="error", error=_error(error_class), response_bytes=240)

    def answer(self, ending: str = "ok", source: str = "provider") -> None:
        """One more try, with an answer that ends in some way."""
        dice, app = self._dice, self._app
        ttfb_ms = dice.randint(*app.ttfb_ms)
        tokens = dice.randint(*app.output_tokens)
        whole = ending == "ok"
        shown = tokens if whole else max(1, int(tokens * dice.random()))
        duration_ns = int((ttfb_ms + shown * app.pace_ms * dice.uniform(0.8, 1.3)) * _MS)
        fields: dict[str, object] = {
            "status": 0 if ending == "interrupted" else 200,
            "outcome": ending,
            "ttfb_ns": None if ending == "interrupted" else ttfb_ms * _MS if self.streaming else duration_ns,
            "ttft_ns": (ttfb_ms + app.pace_ms) * _MS if self.streaming and ending != "interrupted" else None,
            "response_bytes": shown * (180 if self.streaming else 5),
            "usage": self._usage(tokens if whole else shown, source if whole else "partial" if self.streaming else ""),
            "response_id": f"msg_{dice.getrandbits(64):016x}",
            "model": _ANSWERING.get(app.model, app.model),
        }
        if ending == "ok":
            reason, finish = ("length", "length") if tokens == self.limit else ("stop", "stop")
            fields |= {"finish_reason": reason, "finish_class": finish, "stream_end": "done_marker"}
        elif ending == "broken":
            fields |= {"error": _error("stream_truncated"), "stream_end": "truncated"}
        elif ending == "cancelled":
            fields["error"] = _error("cancelled_by_client")
        else:
            fields["usage"] = Usage(
                input_tokens=self.request_bytes // 4, output_tokens=self.limit, source="estimated", origin="open_record"
            )
        if self.provider == "openrouter" and ending == "ok":
            fields["provider_cost"] = Money(Decimal(tokens * 6 + self._input_tokens * 2).scaleb(-7), "USD")
        self._add(duration_ns, **fields)

    def _usage(self, output_tokens: int, source: str) -> Usage:
        dice = self._dice
        if source in {"none", ""}:
            return Usage()
        if source == "partial":
            return Usage(
                input_tokens=self._input_tokens, output_tokens=output_tokens, source="provider", origin="stream"
            )
        cached = None
        if dice.random() < _CACHES.get(self.provider, 0):
            cached = int(self._input_tokens * dice.uniform(0.2, 0.9))
        thinks = "thinking" in self._app.extra or "reasoning_split" in self._app.extra
        searches = self.provider == "anthropic" and dice.random() < 0.02
        return Usage(
            input_tokens=self._input_tokens,
            output_tokens=output_tokens,
            cached_input_tokens=cached,
            cache_write_tokens=dice.randint(0, self._input_tokens // 4)
            if cached and self.provider == "anthropic"
            else None,
            reasoning_tokens=output_tokens // 3 if thinks else None,
            total_tokens=self._input_tokens + output_tokens,
            units={"web_search_requests": Decimal(dice.randint(1, 3))} if searches else {},
            source="estimated" if source == "estimated" else "provider",
            origin="stream.usage_chunk" if self.streaming else "response.usage",
            complete=source == "provider",
        )

    def _add(self, duration_ns: int, **fields: object) -> None:
        kind = "minimax" if self.provider == "minimax-cn" else self.provider
        plan = self._app.project == "copywriter" and self.provider == "minimax"
        common: dict[str, object] = {
            "attempt": len(self.attempts) + 1,
            "span_id": _span_id(self._dice),
            "started_at_ns": self._at_ns,
            "duration_ns": duration_ns,
            "provider": self.provider,
            "kind": kind,
            "host": _HOSTS[self.provider],
            "dialect": self.dialect,
            "model": self._app.model,
            "connect_ns": self._dice.randint(8, 60) * _MS if self._dice.random() < 0.03 else None,
            "request_bytes": self.request_bytes,
            "provider_request_id": f"req_{self._dice.getrandbits(64):016x}",
            "changes": ("usage_requested",) if self.streaming and self.dialect == "openai.chat" else (),
            "billing": "subscription" if plan else "",
        }
        self.attempts.append(AttemptRecord(**common | fields))  # type: ignore[arg-type]
        self._at_ns += duration_ns + self._dice.randint(50, 900) * _MS


def _error(error_class: ErrorClass) -> ErrorFacts:
    remedy = REMEDIES[error_class]
    return ErrorFacts(
        error_class=error_class,
        code=_PROVIDER_CODES.get(error_class),
        type=error_class,
        retry_same=remedy.retry_same,
        fallback=remedy.fallback,
        fault=remedy.fault,
    )


def _span_id(dice: random.Random) -> str:
    return f"{dice.getrandbits(64) | 1:016x}"


def _key_id(app: App) -> str:
    """Every project has a key of its own."""
    return hashlib.blake2b(app.project.encode(), digest_size=8).hexdigest()


def _tags(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split(",") if pair)
