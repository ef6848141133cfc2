import msgspec
import pytest

from proxy.admin.findings import judge
from proxy.admin.status import JournalLimits, JournalStatus, LedgerCheck, SelfCheck, SinkState
from proxy.policy_state import PolicyState
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


def test_how_long_rows_are_kept_is_told_and_what_is_not_active_yet():
    assert found(status(store=store(kept={})), "retention").said == "rows are kept for ever"
    said = "calls: kept for 9 days, where it was never deleted; 0 rows are older and will go"
    shown = status(store=store(kept={"contents": "14 days", "calls_by_minute": "90 days"}, kept_to_be=(said,)))
    active, planned = [finding for finding in judge(shown) if finding.about == "retention"]
    assert active.said == "rows are kept for ever, but: calls_by_minute 90 days, contents 14 days"
    assert (planned.state, planned.said) == ("note", f"not active yet: {said}")


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"processes": [{**WELL.processes[0], "state": "waiting", "pid": None}]}, "worker-0"),
        ({"store": store(reachable=False, error="connection refused")}, "store"),
        ({"store": store(schema_version=1)}, "schema"),
        ({"store": store(schema_version=3)}, "schema"),
        ({"store": store(answer_s=2.5)}, "store"),
        ({"store": store(clock_ahead_s=-9.0)}, "clock"),
        ({"at_s": 1000.0}, "clock"),
        ({"journal": JournalStatus(segments=9, lag_s=61.0)}, "journal"),
        ({"journal": JournalStatus(phase="waiting")}, "journal"),
        ({"journal": JournalStatus(phase="running", trouble="journal: disk I/O error")}, "journal"),
        ({"journal": JournalStatus(phase="running", look_age_s=31.0)}, "journal"),
        ({"journal": JournalStatus(losses={"journal_full": 3}, fresh_losses=("journal_full",))}, "losses"),
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
            "died 2 times, the last time by SIGKILL",
        ),
        ({"store": store(schema_version=None)}, "schema", "not there yet"),
        (
            {"processes": [{**WELL.processes[0], "deaths": 1, "last_exit": 1}]},
            "worker-0",
            "died once, the last time with status 1",
        ),
        ({"journal": JournalStatus(losses={"odd": 3})}, "losses", "3 odd"),
        ({"journal": JournalStatus(losses={"odd": 3}, fresh_losses=("odd",))}, "losses", "within the last hour"),
        ({"journal": JournalStatus(losses={"journal_full": 3})}, "losses", "3 journal_full"),
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


LIMITS = JournalLimits(max_bytes=1000, min_free_bytes=10**9, on_full="pass")


def test_a_journal_with_room_is_not_spoken_of():
    shown = status(journal_limits=LIMITS, journal=JournalStatus(bytes=799))
    assert not any(finding.about == "journal room" for finding in judge(shown))
    unlimited = JournalLimits(max_bytes=0, min_free_bytes=0, on_full="pass")
    shown = status(journal_limits=unlimited, journal=JournalStatus(bytes=10**12))
    assert not any(finding.about == "journal room" for finding in judge(shown))


@pytest.mark.parametrize(
    ("waiting_bytes", "free_bytes", "on_full", "said"),
    [
        (1000, 10**12, "pass", "it is full, 1,000 bytes wait: calls go on, and are missing in the records"),
        (1000, 10**12, "refuse", "it is full, 1,000 bytes wait: calls are refused with 503"),
        (0, 10**9 - 1, "refuse", "it is full, the disk has only 1,000 MB left: calls are refused with 503"),
        (800, 10**12, "pass", "it is 80% full; when it is full, calls go on, and are missing in the records"),
    ],
)
def test_a_journal_that_is_full_says_what_becomes_of_calls(waiting_bytes, free_bytes, on_full, said):
    limits = JournalLimits(max_bytes=1000, min_free_bytes=10**9, on_full=on_full)
    shown = status(journal_limits=limits, journal=JournalStatus(bytes=waiting_bytes), disk_free_bytes=free_bytes)
    finding = found(shown, "journal room")
    assert (finding.state, finding.said) == ("bad", said)
    assert finding.advice


def test_a_newer_schema_is_told_from_an_older_one():
    assert "newer than this Taximeter, which knows 2" in found(status(store=store(schema_version=3)), "schema").said
    assert "Restart" in found(status(store=store(schema_version=1)), "schema").advice


def test_a_journal_that_is_behind_names_the_sink():
    late = SinkState(reachable=True, lag_s=99.0, failures=0, last_error="", counts={})
    shown = status(journal=JournalStatus(lag_s=99.0, sinks={"webhook-crm": late, **WELL.journal.sinks}))
    assert "the sink webhook-crm?" in found(shown, "journal").advice
    shown = status(told_by="disk", journal=JournalStatus(lag_s=99.0))
    assert "the recorder runs again" in found(shown, "journal").advice


def test_a_death_by_an_unknown_signal_is_told_by_its_number():
    shown = status(processes=[{**WELL.processes[0], "deaths": 1, "last_exit": -99}])
    assert "by signal 99" in found(shown, "worker-0").said


CHECK = SelfCheck(
    ran_at_s=1.0, ok=True, days=30, doubled_calls=0, doubled_attempts=0, drifted_days=0, findings=(), error=""
)


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({}, "good", "30 days, nothing doubled and no sum drifted"),
        ({"ok": False, "doubled_calls": 2, "drifted_days": 1, "findings": ("calls of 2026-11-01",)}, "bad", "2 calls"),
        ({"ok": None, "error": "no store"}, "note", "could not be done: no store"),
    ],
)
def test_the_self_check_is_told(changes, state, said):
    finding = found(status(self_check=msgspec.structs.replace(CHECK, **changes)), "self-check")
    assert finding.state == state
    assert said in finding.said


def test_before_the_first_self_check_nothing_is_said_of_it():
    for check in (None, msgspec.structs.replace(CHECK, ran_at_s=None, ok=None)):
        assert not any(finding.about == "self-check" for finding in judge(status(self_check=check)))


def test_a_process_that_said_why_it_cannot_serve_is_told_with_its_words():
    process = {**WELL.processes[0], "state": "waiting", "pid": None, "why": "the folder is damaged"}
    assert found(status(processes=[process]), "worker-0").said.endswith("waiting: the folder is damaged")


def test_a_sink_in_trouble_with_what_it_sends_is_bad_though_it_takes_everything():
    sink = SinkState(reachable=True, lag_s=0.0, failures=0, last_error="", counts={}, trouble="ops: no answer")
    status = msgspec.structs.replace(WELL, journal=JournalStatus(sinks={"alerts": sink}))
    (found,) = [one for one in judge(status) if one.about == "sink alerts"]
    assert (found.state, found.said) == ("bad", "ops: no answer")


POLICIES = PolicyState(generation=3, hash="ab12", files=("policies/a.yaml",), budgets=2, limits=1, keys=1_000)


def test_the_policies_in_force_are_told_with_their_edition_and_hash():
    finding = found(status(policies=POLICIES), "policies")

    assert finding.state == "good"
    assert finding.said == (
        "edition 3 (ab12) since 1970-01-01 00:00 UTC: 2 budgets, 1 limits, 1,000 keys, from policies/a.yaml"
    )


def test_a_mistake_in_the_policies_is_bad_has_its_line_and_says_what_stays_in_force():
    shown = status(policies=msgspec.structs.replace(POLICIES, error="policies/a.yaml:3: limt: unknown\nb.yaml:1: x"))
    finding = found(shown, "policies")

    assert (finding.state, finding.advice.startswith("Edition 3 stays in force")) == ("bad", True)
    assert "policies/a.yaml:3: limt: unknown; b.yaml:1: x" in finding.said
    assert found(shown, "policies in force").state == "good"


def test_keys_that_nobody_takes_are_worth_a_note_and_no_policies_are_not():
    assert found(status(policies=POLICIES, key_mode="passthrough"), "keys").state == "note"
    assert not any(finding.about == "policies" for finding in judge(status(policies=PolicyState())))


EQUAL = LedgerCheck(compared_at_s=1.0, counters=1234, drifting=())
DRIFT = "budget:teams|team=a: 5 USD in the ledger, 4 USD in the store"


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({}, "good", "1,234 counters, each as the store has it"),
        ({"drifting": (DRIFT,)}, "bad", f"ledger and store differ: {DRIFT}"),
        ({"drifting": (DRIFT, DRIFT, DRIFT)}, "bad", f"ledger and store differ: {DRIFT} and 2 more"),
        ({"error": "away"}, "note", "could not be compared with the store: away"),
        ({"behind": ("w1", "w2")}, "note", "the store does not have yet what is booked of w1, w2"),
        ({"drifting": (DRIFT,), "error": "away", "behind": ("w1",)}, "bad", f"ledger and store differ: {DRIFT}"),
        ({"error": "away", "behind": ("w1",)}, "note", "could not be compared with the store: away"),
    ],
)
def test_what_the_comparison_of_ledger_and_store_has_found_is_told(changes, state, said):
    finding = found(status(ledger=msgspec.structs.replace(EQUAL, **changes)), "ledger")
    assert (finding.state, finding.said) == (state, said)
    assert bool(finding.advice) == (state != "good")
    assert ("ledger rebuild" in finding.advice) == (state == "bad")


def test_without_a_budget_nothing_is_said_of_the_ledger():
    assert not any(finding.about == "ledger" for finding in judge(status(ledger=None)))
