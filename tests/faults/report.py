"""The figures of a run as a table for people."""

import msgspec

from tests.faults.account import INTERRUPTED, Account
from tests.faults.suite import Result

_HEAD = (
    "fault",
    "made",
    "calls sent",
    "answered",
    "left by the app",
    "broken off",
    "never admitted",
    "rows",
    "of them interrupted",
    "told as lost",
    "**lost**",
    "**doubled**",
)


class Report(msgspec.Struct, kw_only=True):
    """One run of the suite."""

    seed: int
    rounds: int
    seconds: int
    commit: str
    python: str
    system: str
    results: list[Result]


def markdown(report: Report) -> str:
    """The table, its totals and, where something went wrong, what."""
    lines = [_line(_HEAD), _line(["---"] + ["---:"] * (len(_HEAD) - 1))]
    lines += [_line(_cells(result)) for result in report.results]
    made = [result.account for result in report.results if not result.skipped]
    total = [sum(column) for column in zip(*map(_figures, made), strict=True)] if made else []
    lines.append(_line(["all", *(f"{figure:,}" for figure in total)]))
    said = (
        f"Seed {report.seed}, {report.rounds} rounds, {report.seconds} s, commit `{report.commit}`, "
        f"Python {report.python}, {report.system}."
    )
    trouble = [f"- {line}" for result in report.results for line in _trouble(result)]
    return "\n".join([*lines, "", said, *(["", *trouble] if trouble else []), ""])


def text_line(result: Result) -> str:
    """How one fault went, in a line or a few."""
    made = result.account
    if result.skipped:
        return f"skipped  {made.fault}: {result.skipped}\n"
    verdict = "holds" if made.holds else "FAILS"
    said = (
        f"{verdict:8} {made.fault:20} made {made.struck:3}  sent {made.sent:5}  rows {made.rows:5}  "
        f"told {made.told}  lost {made.lost}  doubled {made.doubled}  {made.seconds:.1f} s"
    )
    lines = [said, *(f"         {line}" for line in _trouble(result))]
    return "".join(f"{line}\n" for line in lines)


def _cells(result: Result) -> list[str]:
    if result.skipped:
        return [result.title, f"skipped: {result.skipped}", *[""] * (len(_HEAD) - 2)]
    return [result.title, *(f"{figure:,}" for figure in _figures(result.account))]


def _figures(made: Account) -> list[int]:
    interrupted = sum(outcomes.get(INTERRUPTED, 0) for outcomes in made.table.values())
    return [
        made.struck,
        made.sent,
        made.finished,
        made.left,
        made.begun + made.unanswered + made.refused - made.never_admitted,
        made.never_admitted,
        made.rows,
        interrupted,
        made.told,
        made.lost,
        made.doubled,
    ]


def _trouble(result: Result) -> list[str]:
    made = result.account
    if made.holds:
        return []
    said = [made.failure] if made.failure else []
    said += made.wrong[:10] + ([f"and {len(made.wrong) - 10} more"] if len(made.wrong) > 10 else [])
    return [*said, f"{made.table}", f"the data folder is kept in {result.kept}"]


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
