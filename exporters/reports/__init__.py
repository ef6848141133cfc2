"""Reports: what the calls cost, what the last ones were, what the providers deliver; answered by the store.

Everything here is pure but `store`, which asks it. A report is a file with `query` (a question as SQL with bound
parameters) and `build` (the rows as a `Report`), and a line in `REPORTS`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from exporters.reports import calls, costs, course, providers
from exporters.reports.providers import ListPrices
from exporters.reports.question import Query, Question
from exporters.reports.report import Report


class ReportKind(msgspec.Struct, frozen=True):
    """One report that can be asked for."""

    name: str
    query: Callable[[Question], Query]
    build: Callable[[Question, Sequence[Sequence[Any]], ListPrices], Report]
    rolled: bool = True
    """Whether it is answered from roll-ups where they have what is asked for."""


REPORTS: tuple[ReportKind, ...] = (
    ReportKind("costs", costs.query, costs.build),
    ReportKind("calls", calls.query, calls.build, rolled=False),
    ReportKind("providers", providers.query, providers.build),
    ReportKind("course", course.query, course.build),
)
"""Every report, in the order of the command line's help."""
