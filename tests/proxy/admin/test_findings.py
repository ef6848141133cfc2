import pytest

from proxy.admin.findings import judge
from proxy.admin.status import JournalStatus, SinkState
from tests.fakes.statuses import WELL, status, store

FAILING = SinkState(reachable=False, lag_s=9.0, failures=3, last_error="connection refused", counts={})


def found(shown, about):
    return next(finding for finding in judge(shown) if finding.about == about)


def test_when_all_is_well_everything_is_good():
    assert {finding.state for finding in judge(WELL)} == {"good"}
    assert found(WELL, "sink clickhouse").said == "1,234 calls"
    assert found(WELL, "supervisor").said == "pid 100, up for 1h 1m, /data"


def test_nothing_running_is_a_note_with_the_way_to_start():
    shown = status(supervisor_pid=None, processes=[], store=store(reachable=False))
    assert found(shown, "processes").state == "note"
    assert "taximeter serve" in found(shown, "processes").advice
    assert found(shown, "store").state == "note"
    assert not any(finding.state == "bad" for finding in judge(shown))


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"processes": [{**WELL.processes[0], "state": "waiting", "pid": None}]}, "worker-0"),
        ({"store": store(reachable=False, error="connection refused")}, "store"),
        ({"store": store(schema_version=1)}, "schema"),
        ({"store": store(schema_version=3)}, "schema"),
        ({"store": store(clock_ahead_s=-9.0)}, "clock"),
        ({"at_s": 1000.0}, "clock"),
        ({"journal": JournalStatus(segments=9, lag_s=61.0)}, "journal"),
        ({"journal": JournalStatus(quarantined={"not_json": 1})}, "quarantine"),
        ({"journal": JournalStatus(sinks={"clickhouse": FAILING})}, "sink clickhouse"),
        ({"told_by": "disk"}, "admin"),
        ({"supervisor_pid": None, "orphans": True}, "processes"),
        ({"disk_free_bytes": 10**6}, "disk"),
    ],
)
def test_what_is_wrong_is_bad_and_says_what_to_do(changes, about):
    finding = found(status(**changes), about)
    assert finding.state == "bad"
    assert finding.advice


@pytest.mark.parametrize(
    ("changes", "about", "said"),
    [
        (
            {"processes": [{**WELL.processes[0], "deaths": 2, "last_exit": -9}]},
            "worker-0",
            "died 2 times (last status -9)",
        ),
        ({"store": store(schema_version=None)}, "schema", "not there yet"),
        ({"journal": JournalStatus(losses={"disk_full": 3})}, "losses", "3 disk_full"),
        ({"disk_free_bytes": 10**9}, "disk", "1.0 GB of 100.0 GB free"),
        ({"disk_free_bytes": None}, "disk", "cannot be told"),
    ],
)
def test_what_is_worth_knowing_is_a_note(changes, about, said):
    finding = found(status(**changes), about)
    assert finding.state == "note"
    assert said in finding.said


def test_a_journal_that_waits_for_a_start_is_a_note():
    shown = status(supervisor_pid=None, told_by="disk", processes=[], journal=JournalStatus(segments=9, lag_s=999.0))
    assert found(shown, "journal").state == "note"
    assert not any(finding.about == "admin" for finding in judge(shown))


def test_a_clickhouse_of_the_operator_that_does_not_answer_is_bad_even_when_nothing_runs():
    shown = status(supervisor_pid=None, store=store(embedded=False, reachable=False, error="timed out"))
    assert found(shown, "store").state == "bad"
