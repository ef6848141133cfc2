"""A checked policy file -> rules: defaults are filled in, amounts resolved, and what does not fit is reported."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from policies import values
from policies.compile_routes import RouteRules, RouteSource
from policies.compiled import Budget, KeyRule, Limit, Threshold, Window
from policies.conditions import Condition, Match
from policies.counters import threshold_amount
from policies.demand import is_currency
from policies.match import FOLDED, scope_text
from policies.schema import (
    VERSION,
    BudgetSection,
    KeySection,
    LimitSection,
    PolicyFile,
    RuleSection,
    ThresholdSection,
)
from policies.schema_parts import Conditions, Hours
from policies.values import PLAIN_FIELDS, Amount, OneOf
from proxy.config.problems import KeyPath, Report, did_you_mean

_SAY_LIMIT = "needs a limit, such as limit: 5 USD"
_SAY_WINDOW = "needs a window: hour, day, week, month, total, or rolling with a length, such as window: month"
_SAY_EVERY = "needs the time in which the limit is there anew, such as every: minute"
_NO_AMOUNT = Amount(0, "")
QUEUE_WAIT_NS = 5 * 10**9
MOST_QUEUE_WAIT_NS = 600 * 10**9
CLAMP_MIN = 256
"""Output tokens that a clamped call keeps where nothing is said: a short answer."""
_WHEN_REACHED = {"hard": "cut"}
_CLAMPED = frozenset({"tokens", "output_tokens"})
"""Units, beside money, that an output limit makes more or less of."""


class Rules:
    """The rules of one file; those with mistakes are reported and left out."""

    def __init__(self, file: PolicyFile, report: Report) -> None:
        self._defaults = file.defaults
        self._report = report
        if file.version != VERSION and not report.has(("version",)):
            report.add(("version",) if file.version else (), f"needs version: {VERSION}, the language it is written in")
        self.budgets = [self._budget(name, section) for name, section in file.budgets.items()]
        self.limits = [self._limit(name, section) for name, section in file.limits.items()]
        self.keys = {name: self._key(name, section) for name, section in file.keys.items()}
        self.routing = RouteRules(
            RouteSource(
                defaults=file.defaults.routes, routes=file.routes, outcomes=file.outcomes, aliases=file.aliases
            ),
            report,
            self.match,
        )

    def _budget(self, name: str, section: BudgetSection) -> Budget:
        path: KeyPath = ("budgets", name)
        amount = self._common(name, section, path)
        if amount.unit == "concurrent":
            self._add(path, "limit", "calls at the same time are no budget; put the rule under limits")
        window: Window | None = section.window
        if window is None and not self._report.has((*path, "window")):
            self._add(path, None, _SAY_WINDOW)
        window = window or Window(shape="total")
        if window.shape not in {"total", "rolling"}:
            start = self._defaults.week_start if section.week_start is None else section.week_start
            window = Window(shape=window.shape, zone=section.zone or self._defaults.zone, week_start=start)
        carry_most, carry_since_ns = self._carry(section, window, amount, path)
        enforce = section.enforce or self._defaults.enforce
        when_reached = section.when_reached or self._defaults.when_reached or _WHEN_REACHED.get(enforce, "finish")
        return Budget(
            **self._shared(name, "budget", section, amount, path),
            window=window,
            grace=self._grace(section, amount, path),
            carry_most=carry_most,
            carry_since_ns=carry_since_ns,
            thresholds=self._thresholds(section.thresholds, (*path, "thresholds")),
            clamp_min=self._clamp(section, amount, path),
            cuts=when_reached == "cut",
            step_bytes=section.unbounded_bytes or self._defaults.unbounded_bytes,
        )

    def _limit(self, name: str, section: LimitSection) -> Limit:
        path: KeyPath = ("limits", name)
        amount = self._common(name, section, path)
        if section.limit and not amount.whole:
            self._add(path, "limit", "must be more than 0")
        if section.enforce == "soft":
            self._add(path, "enforce", "must be hard or observe: a pace is not spent")
        concurrent = amount.unit == "concurrent"
        if concurrent and (section.every or section.burst):
            self._add(path, "every" if section.every else "burst", "cannot stand beside a number of concurrent calls")
        elif not concurrent and section.every is None and not self._report.has((*path, "every")):
            self._add(path, None, _SAY_EVERY)
        burst = section.burst or _NO_AMOUNT
        if section.burst and (burst.unit != amount.unit or not burst.whole):
            self._add(path, "burst", f"must be an amount of {amount.unit}, more than 0")
        shared = self._shared(name, "limit", section, amount, path)
        if shared["enforce"] == "soft":  # by the defaults, which are meant for budgets
            shared["enforce"] = "hard"
        most, wait_ns = self._queue(section, shared["enforce"], path)
        return Limit(
            **shared,
            per_ns=0 if concurrent else section.every or 0,
            burst=burst.whole,
            queue_most=most,
            queue_wait_ns=wait_ns,
        )

    def _queue(self, section: LimitSection, enforce: str, path: KeyPath) -> tuple[int, int]:
        queue = section.queue
        if queue is None:
            return 0, 0
        if section.match.provider is None and "provider" not in section.per:
            self._add(path, "queue", "is for limits of a provider: name it under match, or say per: provider")
        if enforce != "hard":
            self._add(path, "queue", "is for enforce: hard; no other makes a call wait")
        wait_ns = QUEUE_WAIT_NS if queue.wait is None else queue.wait
        if wait_ns > MOST_QUEUE_WAIT_NS:
            self._report.add((*path, "queue", "wait"), "must be 10m or less: no app waits longer")
        return queue.most, wait_ns

    def _key(self, name: str, section: KeySection) -> KeyRule:
        self._check_name(name, ("keys", name))
        return KeyRule(
            name=name,
            team=section.team,
            project=section.project,
            user=section.user,
            tags=section.tags,
            providers=tuple(one.lower() for one in section.providers),
            models=tuple(one.lower() for one in section.models),
            operations=tuple(section.operations),
            expires_at_ns=section.expires,
            disabled=section.disabled,
        )

    def _common(self, name: str, section: RuleSection, path: KeyPath) -> Amount:
        self._check_name(name, path)
        if section.limit is None and not self._report.has((*path, "limit")):
            self._add(path, None, _SAY_LIMIT)
        return section.limit or _NO_AMOUNT

    def _shared(self, name: str, kind: str, section: RuleSection, amount: Amount, path: KeyPath) -> dict[str, Any]:
        """The fields of `policies.compiled.Rule`."""
        defaults, money = self._defaults, is_currency(amount.unit)
        if not money and section.unknown_price is not None:
            self._add(path, "unknown_price", f"is about money, and this rule counts {amount.unit or 'something else'}")
        place = self._report.places.get(path)
        return {
            "name": name,
            "policy": f"{kind}:{name}",
            "place": f"{self._report.source}:{place.line}" if place else self._report.source,
            "match": self.match(section.match, (*path, "match")),
            "per": section.per,
            "unit": amount.unit,
            "limit": amount.whole,
            "overrides": self._overrides(section, amount, path),
            "enforce": section.enforce or defaults.enforce,
            "shadow": section.mode == "shadow",
            "status": section.refuse_with or defaults.refuse_with,
            "when_unavailable": section.when_ledger_unavailable or defaults.when_ledger_unavailable,
            "unbounded": self._stands_in(section.unbounded, defaults.unbounded, amount, (*path, "unbounded")),
            "assume_output_tokens": section.assume_max_output_tokens or defaults.assume_max_output_tokens,
            "unknown_price": self._stands_in(
                section.unknown_price, defaults.unknown_price, amount, (*path, "unknown_price")
            ),
            "exchange": self._exchange(section, amount, path),
            "other_currency": section.other_currency or defaults.other_currency,
        }

    def match(self, section: Conditions, path: KeyPath) -> Match:
        """The conditions of the rule or route that they stand in."""
        conditions = [
            _condition(field, "", given)
            for field in (*PLAIN_FIELDS, "streaming")
            if (given := getattr(section, field)) is not None
        ]
        conditions += [_condition("tag", name, given) for name, given in section.tags.items()]
        if not conditions and section.time is None and self._report.places.get(path) and not self._report.has(path):
            self._report.add(path, "holds no condition; leave it out for a rule that is for every call")
        return Match(conditions=tuple(conditions), hours=self._hours(section.time))

    def _hours(self, section: Hours | None) -> tuple[Any, ...]:
        if section is None:
            return ()
        zone = section.zone or self._defaults.zone
        return (values.hours_of(section.hours, section.weekdays, zone, negated=section.outside),)

    def _overrides(self, section: RuleSection, amount: Amount, path: KeyPath) -> dict[str, int]:
        made: dict[str, int] = {}
        for scope, limit in section.named.items():
            parts = scope.split("/") if len(section.per) > 1 else [scope]
            if not section.per:
                self._report.add((*path, "named"), "needs per: the fields whose values these are, such as per: team")
                break
            if len(parts) != len(section.per):
                self._report.add((*path, "named", scope), f"must name {'/'.join(section.per)}, as per does")
            elif limit.unit != amount.unit:
                self._report.add((*path, "named", scope), f"must be an amount of {amount.unit}, as the limit is")
            else:
                folded = [
                    part.lower() if field == "model" else part for field, part in zip(section.per, parts, strict=True)
                ]
                made[scope_text(section.per, folded)] = limit.whole
        return made

    def _stands_in(
        self, given: Amount | str | None, default: Amount | str, amount: Amount, path: KeyPath
    ) -> int | None:
        """Deny is None, allow is 0, an amount is itself; a default in another unit is no word for this rule."""
        found = default if given is None else given
        if isinstance(found, str):
            return None if found == "deny" else 0
        if found.unit == amount.unit:
            return found.whole
        if given is not None:
            self._report.add(path, f"must be deny, allow, or an amount of {amount.unit or 'the same unit'}")
        return None

    def _exchange(self, section: RuleSection, amount: Amount, path: KeyPath) -> dict[str, Decimal]:
        made: dict[str, Decimal] = {}
        for currency, rate in section.rates.items():
            where = (*path, "rates", currency)
            if not values.is_money(currency) or currency == amount.unit or not is_currency(amount.unit):
                self._report.add(where, "must be the ISO 4217 code of a currency other than that of the limit")
            elif rate.rate is None or rate.as_of is None:
                if not self._report.has(where):
                    self._report.add(where, 'needs rate and as_of, such as {rate: "0.14", as_of: 2026-11-01}')
            else:
                made[currency] = rate.rate
        return made

    def _grace(self, section: BudgetSection, amount: Amount, path: KeyPath) -> int:
        grace = section.grace
        if grace is None:
            return 0
        if isinstance(grace, int):
            return threshold_amount(amount.whole, grace)
        if grace.unit != amount.unit:
            self._add(path, "grace", f"must be a share such as 5%, or an amount of {amount.unit}")
        return grace.whole

    def _carry(self, section: BudgetSection, window: Window, amount: Amount, path: KeyPath) -> tuple[int, int]:
        carry = section.carry_over
        if carry is None:
            return 0, 0
        if window.shape in {"total", "rolling"}:
            self._add(path, "carry_over", "needs windows of the calendar: hour, day, week or month")
        elif carry.most is None or carry.since is None:
            if not self._report.has((*path, "carry_over")):
                self._add(path, "carry_over", "needs most and since, such as {most: 2 USD, since: 2026-11-01}")
        elif carry.most.unit != amount.unit:
            self._report.add((*path, "carry_over", "most"), f"must be an amount of {amount.unit}")
        else:
            return carry.most.whole, carry.since
        return 0, 0

    def _thresholds(self, sections: list[ThresholdSection], path: KeyPath) -> tuple[Threshold, ...]:
        made: list[Threshold] = []
        for index, section in enumerate(sections):
            where = (*path, index)
            if section.at is None or not section.do:
                if not self._report.has(where):
                    self._report.add(where, 'needs at and do, such as {at: "80%", do: [alert]}')
                continue
            if ("downgrade" in section.do) != (section.model is not None):
                self._report.add(where, "downgrade and model belong together: the model to ask for instead")
            made.append(Threshold(at=section.at, acts=tuple(section.do), model=section.model or ""))
        return tuple(sorted(made, key=lambda one: one.at))

    def _clamp(self, section: BudgetSection, amount: Amount, path: KeyPath) -> int | None:
        if not section.clamp:
            if section.clamp_min is not None:
                self._add(path, "clamp_min", "belongs to clamp: true")
            return None
        if (section.enforce or self._defaults.enforce) != "hard" and not self._report.has((*path, "enforce")):
            self._add(path, "clamp", "is for enforce: hard; no other refuses a call for what it may use")
        if amount.unit not in _CLAMPED and not is_currency(amount.unit):
            self._add(path, "clamp", f"is for money, tokens and output_tokens, and this rule counts {amount.unit}")
        return section.clamp_min or CLAMP_MIN

    def _check_name(self, name: str, path: KeyPath) -> None:
        try:
            values.name(name)
        except ValueError as error:
            self._report.add(path, str(error))

    def _add(self, path: KeyPath, key: str | None, what: str) -> None:
        self._report.add(path if key is None else (*path, key), what)


def _condition(field: Any, tag: str, given: OneOf) -> Condition:
    texts = [value.lower() if field in FOLDED else value for value in given.values]
    return Condition(
        field=field,
        tag=tag,
        values=tuple(text for text in texts if not _is_glob(text)),
        globs=tuple(text for text in texts if _is_glob(text)),
        negated=given.negated,
    )


def _is_glob(text: str) -> bool:
    return "*" in text or "?" in text


def check_providers(matches: Mapping[KeyPath, Match], providers: frozenset[str], report: Report) -> None:
    """Report conditions on providers that are not configured."""
    for path, match in matches.items():
        for condition in match.conditions:
            unknown = [value for value in condition.values if condition.field == "provider" and value not in providers]
            for value in unknown:
                report.add((*path, "match", "provider"), f"no such provider; {did_you_mean(value, providers)}")


def matches_of(rules: Rules) -> dict[KeyPath, Match]:
    """The conditions of each rule of a file, by the place of the rule."""
    made: dict[KeyPath, Match] = {("budgets", one.name): one.match for one in rules.budgets}
    for limit in rules.limits:
        made["limits", limit.name] = limit.match
    for route in rules.routing.routes:
        made["routes", route.name] = route.match
    return made


def names_of(rules: Rules) -> list[KeyPath]:
    """The places of everything in a file whose name may stand once in all files."""
    routing = rules.routing
    return [
        *matches_of(rules),
        *(("keys", name) for name in rules.keys),
        *(("outcomes", one.name) for one in routing.outcomes),
        *(("aliases", alias) for alias in routing.aliases),
    ]
