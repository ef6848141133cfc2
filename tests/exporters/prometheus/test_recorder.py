from exporters.prometheus.recorder import PHASES, recorder_families
from exporters.recorder.status import RecorderStatus, SelfCheckStatus, SinkStatus
from proxy.core.losses import RECORD_LOSSES


def told(status):
    return {
        (sample.name.removeprefix("taximeter_"), *sample.labels.values()): sample.value
        for family in recorder_families(status)
        for sample in family.samples
    }


def test_exactly_one_phase_is_on():
    found = told(RecorderStatus(phase="draining"))
    assert {phase: found["recorder_phase", phase] for phase in PHASES} == {
        "starting": 0,
        "waiting": 0,
        "running": 0,
        "draining": 1,
        "stopped": 0,
    }


def test_the_journal_is_told_as_the_recorder_knows_it():
    found = told(
        RecorderStatus(
            looked_at_ns=5 * 10**9,
            instances=3,
            journal_segments=4,
            journal_bytes=500,
            journal_oldest_s=6.5,
            kept_bytes=700,
            open_calls=8,
            interrupted_calls=9,
            quarantine={"not_json": 2},
        )
    )
    assert found["journal_look_timestamp_seconds",] == 5
    assert found["journal_instances",] == 3
    assert found["journal_segments",] == 4
    assert found["journal_bytes",] == 500
    assert found["journal_oldest_seconds",] == 6.5
    assert found["journal_kept_bytes",] == 700
    assert found["open_calls",] == 8
    assert found["interrupted_calls_total",] == 9
    assert found["quarantined_lines", "not_json"] == 2


def test_losses_of_records_are_told_from_zero_on():
    found = told(RecorderStatus(losses={"journal_full": 3, "usage_option_refused": 1}))
    losses = {
        reason: value for (name, *reasons), value in found.items() if name == "losses_total" for reason in reasons
    }
    assert losses == {**dict.fromkeys(RECORD_LOSSES, 0), "journal_full": 3, "usage_option_refused": 1}


def test_reasons_without_end_are_other():
    found = told(RecorderStatus(losses={f"reason-{n}": 1 for n in range(2000)}, quarantine={"a b": 1, "c d": 2}))
    assert len([name for name, *_ in found if name == "losses_total"]) <= 1201
    assert sum(value for (name, *_), value in found.items() if name == "losses_total") == 2000
    assert found["quarantined_lines", "other"] == 3


def test_a_sink_that_has_not_been_tried_is_neither_up_nor_down():
    found = told(RecorderStatus(sinks={"new": SinkStatus()}))
    assert ("sink_up", "new") not in found
    assert ("sink_last_delivery_timestamp_seconds", "new") not in found
    assert found["sink_lag_seconds", "new"] == 0


def test_a_sink_that_is_down_is_told_so():
    sink = SinkStatus(
        reachable=False, lag_s=12.0, waiting_segments=3, failures=4, last_delivered_ns=10**9, counts={"calls": 7}
    )
    found = told(RecorderStatus(sinks={"otlp": sink}))
    assert found["sink_up", "otlp"] == 0
    assert found["sink_lag_seconds", "otlp"] == 12
    assert found["sink_waiting_segments", "otlp"] == 3
    assert found["sink_failures", "otlp"] == 4
    assert found["sink_last_delivery_timestamp_seconds", "otlp"] == 1
    assert found["sink_counted_total", "otlp", "calls"] == 7


def test_the_self_check_is_told_once_it_has_run():
    assert not any(name.startswith("self_check") for name, *_ in told(RecorderStatus()))
    check = SelfCheckStatus(ran_at_ns=10**9, ok=False, days=30, doubled_calls=2, drifted_days=1)
    found = told(RecorderStatus(self_check=check))
    assert found["self_check_ok",] == 0
    assert found["self_check_doubled_rows", "calls"] == 2
    assert found["self_check_drifted_days",] == 1
    assert found["self_check_timestamp_seconds",] == 1


def test_a_self_check_that_could_not_be_done_says_neither_good_nor_bad():
    found = told(RecorderStatus(self_check=SelfCheckStatus(ran_at_ns=10**9, ok=None, last_error="no store")))
    assert ("self_check_ok",) not in found
    assert found["self_check_timestamp_seconds",] == 1
