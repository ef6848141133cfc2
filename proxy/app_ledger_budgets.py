"""The wiring of `taximeter budget`: how budgets stand, what they spent, and top-ups."""

import time

import msgspec

from exporters.ledger.past import Past, history, lately
from exporters.ledger.standing import Standing, standings
from exporters.reports.errors import ReportError
from exporters.reports.store import StoreReader
from policies.audit import note
from policies.compiled import Budget
from policies.ledger.books import BooksUnavailableError, Recorded, TopUp
from policies.match import scope_text
from policies.values import amount as amount_of
from policies.wording import amount_text
from proxy.app_ledger_asks import TOP_UP, TOP_UP_FAILED, LedgerError, budgets_in_force, opened_books
from proxy.config.problems import did_you_mean
from proxy.settings import Settings

MAX_REASON_CHARS = 500


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How budgets stand, and what could not be told."""

    standings: list[Standing]
    without_forecast: str = ""
    """Why there are no forecasts; empty where there are."""


class TopUpWish(msgspec.Struct, frozen=True, kw_only=True):
    """A top-up as somebody asks for it."""

    budget: str
    scope: str
    """`team=search`, or several with a comma; empty where the budget has one counter."""
    amount: str
    """`5 USD`, `5USD`, `200k tokens`."""
    reason: str
    until_ns: int | None = None
    """Until when it counts, Unix time; None: to the end of the present window."""
    unseen: bool = False
    """Whether it may be for a scope that nobody has called from yet."""


def budget_named(budgets: dict[str, Budget], name: str) -> Budget:
    """The budget of that name. Raises LedgerError."""
    found = budgets.get(f"budget:{name.removeprefix('budget:')}")
    if found is None:
        names = [one.name for one in budgets.values()]
        raise LedgerError(f"there is no budget {name}: {did_you_mean(name, names)}" if names else "there is no budget")
    return found


def budget_status(settings: Settings) -> Told:
    """How every budget stands. Raises LedgerError; without a store there are no forecasts."""
    budgets, now_ns = budgets_in_force(settings), time.time_ns()
    with opened_books(settings) as books:
        books.glance("", -1)  # a reading alone does not notice that the books were lost
        recorded, top_ups = books.recorded(), books.top_ups()
    reader = StoreReader(settings.store)
    try:
        spent = lately(reader.rows, now_ns)
    except ReportError as error:
        return Told(standings=standings(budgets, recorded, top_ups, now_ns), without_forecast=str(error))
    finally:
        reader.close()
    return Told(standings=standings(budgets, recorded, top_ups, now_ns, spent))


def budget_history(settings: Settings, name: str) -> tuple[Budget, list[Past], str]:
    """The budget, its windows, and why the store was not asked (empty where it was). Raises LedgerError."""
    budget = budget_named(budgets_in_force(settings), name)
    with opened_books(settings) as books:
        recorded = books.recorded()
    reader = StoreReader(settings.store)
    try:
        return budget, history(budget.policy, recorded, reader.rows), ""
    except ReportError as error:
        return budget, history(budget.policy, recorded, None), str(error)
    finally:
        reader.close()


def top_up(settings: Settings, wish: TopUpWish, *, by: str) -> tuple[Budget, TopUp]:
    """Make a top-up, noted in the audit log before it counts. Raises LedgerError.

    Workers see it with their next borrowing, and within a quarter of a second where they refuse.
    """
    budget = budget_named(budgets_in_force(settings), wish.budget)
    amount = _amount(wish.amount, budget)
    reason = " ".join(wish.reason.split())
    if not reason or len(reason) > MAX_REASON_CHARS:
        raise LedgerError(f"--reason is needed, in at most {MAX_REASON_CHARS} characters: it stands in the audit log")
    now_ns = time.time_ns() // 1000 * 1000  # what a Redis keeps of an instant
    if wish.until_ns is not None and wish.until_ns <= now_ns:
        raise LedgerError("--until is over already")
    with opened_books(settings) as books:
        books.glance("", -1)
        scope = _scope(budget, wish, books.recorded())
        family = f"{budget.policy}|{scope}" if scope else budget.policy
        made = TopUp(family=family, amount=amount, reason=reason, by=by, at_ns=now_ns, until_ns=wish.until_ns)
        _noted(settings, TOP_UP, made, budget.unit)
        try:
            books.top_up(made)
        except BooksUnavailableError as error:
            _noted(settings, TOP_UP_FAILED, made, budget.unit)
            raise LedgerError(f"{error}; see `taximeter budget status` before you try it again") from error
    return budget, made


def _amount(text: str, budget: Budget) -> int:
    try:
        found = amount_of(text)
    except ValueError as error:
        raise LedgerError(f"--amount {error}") from error
    if found.unit != budget.unit:
        raise LedgerError(f"--amount must be in {budget.unit}, as the budget {budget.name} is")
    if found.whole <= 0:
        raise LedgerError("--amount must be more than 0")
    return found.whole


def _scope(budget: Budget, wish: TopUpWish, recorded: tuple[Recorded, ...]) -> str:
    """The scope as counters have it: the budget's fields in their order."""
    pairs = dict(_pair(one) for one in wish.scope.split(",") if one.strip())
    if pairs.keys() != set(budget.per):
        if not budget.per:
            raise LedgerError(f"the budget {budget.name} has one counter for all: leave --scope out")
        wanted = ",".join(f"{field}=..." for field in budget.per)
        raise LedgerError(f"the budget {budget.name} counts by {', '.join(budget.per)}: say --scope {wanted}")
    scope = scope_text(budget.per, [pairs[field] for field in budget.per])
    known = {one.family.partition("|")[2] for one in recorded if one.family.partition("|")[0] == budget.policy}
    known |= budget.overrides.keys()
    if budget.per and scope not in known and not wish.unseen:
        near = f" ({did_you_mean(scope, sorted(known))})" if known else ""
        raise LedgerError(f"nobody has called with {scope} yet{near}; if it is right all the same, add --unseen")
    return scope


def _pair(text: str) -> tuple[str, str]:
    field, equals, value = text.strip().partition("=")
    if not equals or not field or not value:
        raise LedgerError(f"--scope must be like team=search, not {text.strip()}")
    return field, value


def _noted(settings: Settings, action: str, made: TopUp, unit: str) -> None:
    detail = {"amount": amount_text(made.amount, unit), "whole": str(made.amount), "at_ns": str(made.at_ns)}
    detail |= {"until_ns": str(made.until_ns)} if made.until_ns is not None else {}
    try:
        note(settings.data_dir, action, made.family, by=made.by, reason=made.reason, **detail)
    except OSError as error:
        raise LedgerError(f"the audit log {error.filename}: {error.strerror or error}; nothing was changed") from error
