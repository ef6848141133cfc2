"""The routes, outcome rules and aliases of one checked policy file in their compiled form."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from policies import values
from policies.conditions import Match
from policies.routes_compiled import BreakerRule, HedgeRule, OutcomeRule, RetryRule, Route, RouteTarget
from policies.schema_parts import Conditions, PolicySection
from policies.schema_routes import OutcomeSection, RouteOptions, RouteSection
from proxy.config.problems import KeyPath, Report

if TYPE_CHECKING:
    from policies.values_routes import HoldHead

_RETRY = {
    "each": "tries_each",
    "most": "tries_most",
    "on": "retry_on",
    "not_on": "retry_not_on",
    "backoff_first": "backoff_first_ms",
    "backoff_most": "backoff_most_ms",
    "retry_after_most": "retry_after_most_ms",
    "budget_share": "budget_share",
    "budget_per_second": "budget_per_s",
    "budget_most": "budget_most",
}
_FALL_BACK = {"on": "fall_back_on", "not_on": "fall_back_not_on"}
_TIMEOUTS = {name: f"{name}_ms" for name in ("connect", "first_byte", "first_content", "idle", "attempt", "call")}
_BREAKER = {
    name: f"{name}_ms" for name in ("window", "open", "open_most", "slow_start", "rate_limited", "rate_limited_most")
} | {
    name: name
    for name in ("failures_in_row", "error_share", "calls_least", "probes", "good_probes", "slow_start_share")
}
_SAY_TARGETS = (
    "needs targets, in the order in which they are tried, such as targets: [minimax/MiniMax-M3, openai/gpt-5]"
)
MatchOf = Callable[[Conditions, KeyPath], Match]


class RouteSource(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a file, as far as routing goes."""

    defaults: RouteOptions
    routes: Mapping[str, RouteSection]
    outcomes: Mapping[str, OutcomeSection]
    aliases: Mapping[str, str]


class RouteRules:
    """The routes, outcome rules and aliases of one file; mistakes are reported.

    Args:
        source: What stands in the file.
        report: Of the file.
        match_of: Makes the conditions of a route.
    """

    def __init__(self, source: RouteSource, report: Report, match_of: MatchOf) -> None:
        self._defaults = source.defaults
        self._report = report
        self._match_of = match_of
        self.routes = [self._route(name, section) for name, section in source.routes.items()]
        self.outcomes = [self._outcome(name, section) for name, section in source.outcomes.items()]
        self.aliases = dict(source.aliases)
        """As written, not resolved."""

    def _route(self, name: str, section: RouteSection) -> Route:
        path: KeyPath = ("routes", name)
        self._check_name(name, path)
        if not section.targets and not self._report.has((*path, "targets")):
            self._report.add(path, _SAY_TARGETS)
        options = (self._defaults, section)
        hold: HoldHead | None = section.hold_head or self._defaults.hold_head
        made: dict[str, Any] = {}
        if hold is not None:
            made["hold_head"] = hold.on
            made |= {} if hold.time_ms is None else {"hold_head_ms": hold.time_ms}
            made |= {} if hold.size_bytes is None else {"hold_head_bytes": hold.size_bytes}
        sticky = self._defaults.sticky if section.sticky is None else section.sticky
        if sticky is not None:
            made["sticky"] = "" if sticky == "none" else sticky
        retry = _stated(_RETRY, [one.retry for one in options])
        retry |= _stated(_FALL_BACK, [one.fall_back for one in options])
        retry |= _stated(_TIMEOUTS, [one.timeouts for one in options])
        return Route(
            name=name,
            place=self._place(path),
            match=self._match_of(section.match, (*path, "match")),
            targets=_in_tiers(section.targets),
            retry=RetryRule(**retry),
            breaker=BreakerRule(**_stated(_BREAKER, [one.breaker for one in options])),
            hedge=self._hedge(section, path),
            continue_marked=(section.going_on or self._defaults.going_on) == "marked",
            **made,
        )

    def _hedge(self, section: RouteSection, path: KeyPath) -> HedgeRule | None:
        own = section.hedge
        hedge = own or self._defaults.hedge
        if hedge is None:
            return None
        if hedge.after is None:
            where: KeyPath = (*path, "hedge") if own else ("defaults", "routes", "hedge")
            if not self._report.has(where):
                self._report.add(where, "needs after: how long a target may be without content, such as after: 2s")
            return None
        return HedgeRule(after_ms=hedge.after, use_p95=hedge.p95, most=hedge.most)

    def _outcome(self, name: str, section: OutcomeSection) -> OutcomeRule:
        path: KeyPath = ("outcomes", name)
        self._check_name(name, path)
        if section.is_ is None and not self._report.has((*path, "is")):
            self._report.add(path, "needs is: what the attempt came to, such as is: billing")
        when = section.when
        return OutcomeRule(
            name=name,
            place=self._place(path),
            providers=when.provider,
            models=when.model,
            statuses=when.status,
            headers=when.headers,
            json=when.json_,
            body=when.body,
            finish_reasons=when.finish_reason,
            stream_ends=tuple(when.stream_end),
            schema_asked=when.schema_asked,
            stream_asked=when.stream,
            answer_is_json=when.answer_is_json,
            first_byte_over_ms=when.first_byte_over,
            first_content_over_ms=when.first_content_over,
            duration_over_ms=when.duration_over,
            outcome=section.is_ or "unknown",
            retry_same=section.retry,
            fallback=section.fall_back,
            fault=section.fault,
        )

    def _check_name(self, name: str, path: KeyPath) -> None:
        try:
            values.name(name)
        except ValueError as error:
            self._report.add(path, str(error))

    def _place(self, path: KeyPath) -> str:
        place = self._report.places.get(path)
        return f"{self._report.source}:{place.line}" if place else self._report.source


def _in_tiers(steps: list[Any]) -> tuple[RouteTarget, ...]:
    return tuple(msgspec.structs.replace(target, tier=tier) for tier, step in enumerate(steps) for target in step)


def _stated(names: Mapping[str, str], sections: list[Any]) -> dict[str, Any]:
    """What is written in sections of one kind, the last word last; what nobody wrote is left to the compiled form."""
    made: dict[str, Any] = {}
    for section in sections:
        stated: PolicySection = section
        for name in stated.model_fields_set:
            given = getattr(stated, name)
            made[names[name]] = tuple(given) if isinstance(given, list) else given
    return made
