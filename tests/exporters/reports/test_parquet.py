import json

from exporters.reports.parquet import handed
from exporters.reports.report import Column, Report
from tests.fakes.finance import NASTY, PERIOD


def test_the_engine_gets_exact_decimals_and_times_as_utc():
    first = json.loads(handed(NASTY).lines.split(b"\n")[2])
    assert first == {"c0": "+1", "c1": "USD", "c2": 3, "c3": "123456789012.123456789012345678", "c4": "0.5",
                     "c5": "2026-11-02T03:04:05+00:00"}  # fmt: skip


def test_nothing_from_outside_is_in_the_query():
    name = "tag:x` FROM calls; DROP TABLE calls -- \\"
    report = Report(name="costs", period=PERIOD, columns=(Column(name=name, type="text"),), rows=(("'); DROP",),))
    found = handed(report)
    assert found.sql == "SELECT `c0` AS `tag:x\\` FROM calls; DROP TABLE calls -- \\\\` FROM report"
    assert found.structure == "`c0` Nullable(String)"
