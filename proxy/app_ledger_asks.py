"""The wiring of `taximeter ledger`: how the ledger stands, the comparison with the store, rebuilding, forgetting."""

import contextlib
import getpass
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from exporters.alerts.rulebook import Rulebook
from exporters.journal.files import is_locked
from exporters.journal.names import LOCK_NAME
from exporters.ledger.comparing import Comparison, compare
from exporters.ledger.journals import journal_pages
from exporters.ledger.rebuilding import Plan, plan, rebuild
from exporters.ledger.watching import Watch
from exporters.recorder.state import memory_on_disk
from exporters.reports.errors import ReportError
from exporters.reports.store import StoreReader
from policies.audit import note, read
from policies.compiled import Budget
from policies.ledger.books import Books, BooksLostError, BooksUnavailableError, Lender, Recorded, TopUp
from policies.load import find_files, load_policies
from proxy.app_ledger import books_of
from proxy.config.problems import ConfigError
from proxy.policy_state import policies_file
from proxy.settings import Settings

if TYPE_CHECKING:
    from exporters.recorder.ports import Pricer

TOP_UP = "budget.top_up"
TOP_UP_FAILED = "budget.top_up_failed"
"""Actions in the audit log."""
ALIVE_S = 600.0
"""A process that was heard of so lately is not forgotten without force."""
_TRIES = 5
_PAUSE_S = 0.5
_SINK = "ledger"


class LedgerError(Exception):
    """It cannot be done; the message is one sentence for the person."""


class LedgerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the ledger stands."""

    backend: str
    """`file PATH` or `redis URL`, without the password."""
    error: str = ""
    """Why it cannot be asked; empty when it can."""
    is_lost: bool = False
    """Whether it lost what was in it."""
    counters: tuple[Recorded, ...] = ()
    processes: tuple[Lender, ...] = ()
    read: dict[str, int] = {}
    """Journal of this machine -> last segment that the recorder has read."""
    booked: dict[str, int] = {}
    """Journal of this machine -> last segment that the recorder has booked."""


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuilding has done, or would do."""

    plan: Plan
    top_ups: tuple[TopUp, ...]
    """Put back, or to be: they stand in this machine's audit log and not in the books."""
    ahead: tuple[str, ...] = ()
    """Processes of which the books have what neither the store nor this journal has; then nothing was done."""


def budgets_in_force(settings: Settings) -> dict[str, Budget]:
    """By `budget:NAME`: as the running Taximeter has them, or as the files say where none ever ran.

    Raises LedgerError.
    """
    rulebook = Rulebook(policies_file(settings))
    rulebook.refresh()
    if rulebook.budgets:
        return rulebook.budgets
    try:
        names = [provider.name for provider in settings.providers]
        policies = load_policies(find_files(settings.policy_files), providers=names)
    except ConfigError as error:
        raise LedgerError(str(error)) from error
    return {one.policy: one for one in policies.budgets}


@contextlib.contextmanager
def opened_books(settings: Settings) -> Iterator[Books]:
    """The ledger's books; what they cannot do is a LedgerError."""
    books = books_of(settings, durable=True)
    try:
        yield books
    except BooksUnavailableError as error:
        raise LedgerError(str(error)) from error
    finally:
        books.close()


@contextlib.contextmanager
def opened_store(settings: Settings) -> Iterator[StoreReader]:
    """The store, to be asked; what it cannot answer is a LedgerError."""
    reader = StoreReader(settings.store)
    try:
        yield reader
    except ReportError as error:
        raise LedgerError(str(error)) from error
    finally:
        reader.close()


def kept_days(settings: Settings) -> int | None:
    """How long the store keeps calls; None: for ever."""
    return settings.store.retention.get("calls")


def ledger_status(settings: Settings) -> LedgerStatus:
    """How the ledger stands; one that cannot be asked says why."""
    backend = f"redis {settings.ledger.url}" if settings.ledger.url else f"file {settings.ledger_path}"
    memory = memory_on_disk(settings.run_dir / "recorder.sqlite")
    found = LedgerStatus(backend=backend, read=memory.read, booked=memory.cursors.get(_SINK, {}))
    books = books_of(settings)
    try:
        books.glance("", -1)
        counters, processes = books.recorded(), books.lenders()
    except BooksUnavailableError as error:
        return msgspec.structs.replace(found, error=str(error), is_lost=isinstance(error, BooksLostError))
    finally:
        books.close()
    return msgspec.structs.replace(found, counters=counters, processes=processes)


def compared(settings: Settings, policy: str = "") -> Comparison:
    """The ledger against the store, one budget (`budget:NAME`) or all. Raises LedgerError."""
    with opened_books(settings) as books, opened_store(settings) as store:
        return compare(
            books,
            store.rows,
            now_ns=time.time_ns(),
            kept_days=kept_days(settings),
            wanted=lambda one: not policy or one.family.partition("|")[0] == policy,
        )


def watch_of(settings: Settings) -> Watch:
    """What compares regularly, for the recorder."""
    rulebook = Rulebook(policies_file(settings))

    def look() -> Comparison | None:
        rulebook.refresh()
        if not rulebook.budgets:
            return None
        books, reader = books_of(settings), StoreReader(settings.store)
        try:
            return compare(books, reader.rows, now_ns=time.time_ns(), kept_days=kept_days(settings))
        finally:
            books.close()
            reader.close()

    return Watch(look)


def rebuilding(settings: Settings, pricer: "Pricer") -> Rebuilt:
    """What a rebuilding would do. Raises LedgerError."""
    with opened_books(settings) as books, opened_store(settings) as store:
        return _planned(settings, books, store, pricer)


def rebuilt(
    settings: Settings,
    pricer: "Pricer",
    *,
    by: str,
    force: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> Rebuilt:
    """Rebuild, noted in the audit log. Raises LedgerError.

    Calls may go on meanwhile: what is booked between the plan and the step makes a new plan.
    """
    with opened_books(settings) as books, opened_store(settings) as store:
        for attempt in range(_TRIES):
            if attempt:
                pause(_PAUSE_S)
            found = _planned(settings, books, store, pricer)
            if not attempt:
                changed = str(len(found.plan.changes))
                _noted(settings, "ledger.rebuild", "ledger", by=by, counters_changed=changed)
            ahead = rebuild(books, found.plan, now_ns=time.time_ns(), force=force and attempt == _TRIES - 1)
            if not ahead:
                break
        else:
            return msgspec.structs.replace(found, ahead=ahead)
        for one in found.top_ups:
            books.top_up(one)
    return found


def forget(settings: Settings, name: str, *, by: str, force: bool = False) -> Lender:
    """Free the leases of a process that is gone, noted in the audit log. Raises LedgerError.

    One that lives would go on spending what it has on lease, and others with it: it is not forgotten.
    """
    with opened_books(settings) as books:
        known = {one.instance: one for one in books.lenders()}
        if name not in known:
            raise LedgerError(f"the ledger knows no process {name}: taximeter ledger status lists them")
        if (settings.journal_dir / name).is_dir():
            if is_locked(settings.journal_dir / name / LOCK_NAME):
                raise LedgerError(f"{name} works on this machine: its leases are in use")
            raise LedgerError(
                f"{name} is a process of this machine: the recorder frees its leases when its journal is booked"
            )
        age_s = (time.time_ns() - known[name].seen_ns) / 1e9
        if age_s < ALIVE_S and not force:
            raise LedgerError(
                f"{name} was heard of {max(0.0, age_s):.0f} s ago; if its machine is gone for good, add --force"
            )
        _noted(settings, "ledger.forget", name, by=by, leases=str(known[name].leases))
        books.forget(name)
        return known[name]


def noted_top_ups(settings: Settings) -> tuple[TopUp, ...]:
    """The top-ups in this machine's audit log, without those that failed. Raises LedgerError."""
    try:
        entries = read(settings.data_dir).entries
    except OSError as error:
        raise LedgerError(f"{error.filename or settings.data_dir}: {error.strerror or error}") from error
    failed = {(one.subject, one.detail.get("at_ns")) for one in entries if one.action == TOP_UP_FAILED}
    made = [one for one in entries if one.action == TOP_UP and (one.subject, one.detail.get("at_ns")) not in failed]
    return tuple(filter(None, (_top_up(one.subject, one.by, one.detail) for one in made)))


def _top_up(family: str, by: str, detail: Mapping[str, str]) -> TopUp | None:
    try:
        return TopUp(
            family=family,
            amount=int(detail["whole"]),
            reason=detail["reason"],
            by=by,
            at_ns=int(detail["at_ns"]),
            until_ns=int(detail["until_ns"]) if detail.get("until_ns") else None,
        )
    except (KeyError, ValueError):
        return None  # a line that somebody else has written


def _planned(settings: Settings, books: Books, store: StoreReader, pricer: "Pricer") -> Rebuilt:
    try:
        pages = journal_pages(settings.journal_dir, pricer)  # before the store is asked: one of both has a segment
    except OSError as error:
        raise LedgerError(f"{error.filename or settings.journal_dir}: {error.strerror or error}") from error
    budgets = budgets_in_force(settings)
    now_ns, days = time.time_ns(), kept_days(settings)
    planned = plan(books, store.rows, budgets, now_ns=now_ns, kept_days=days, pages=pages)
    have = {(one.family, one.at_ns, one.amount) for one in books.top_ups()}
    missing = [one for one in noted_top_ups(settings) if (one.family, one.at_ns, one.amount) not in have]
    return Rebuilt(plan=planned, top_ups=tuple(missing))


def _noted(settings: Settings, action: str, subject: str, *, by: str, **detail: str) -> None:
    try:
        note(settings.data_dir, action, subject, by=by, **detail)
    except OSError as error:
        raise LedgerError(f"the audit log {error.filename}: {error.strerror or error}; nothing was changed") from error


def person() -> str:
    """Who asks: the user of the operating system, also behind sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"  # a container without a name for it
