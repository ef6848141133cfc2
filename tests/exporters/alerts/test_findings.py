from exporters.alerts.findings import LAG_S, LOOKED_FOR, losses, standing
from exporters.recorder.status import RecorderStatus, SelfCheckStatus, SinkStatus
from tests.fakes.alerts import NOW_NS


def found(**status):
    return [(one.key, one.kind) for one in standing(RecorderStatus(**status), NOW_NS)]


def test_a_recorder_that_does_well_says_nothing():
    sinks = {"clickhouse": SinkStatus(lag_s=9999.0), "ops": SinkStatus(failures=3, lag_s=LAG_S - 1)}
    assert found(sinks=sinks, self_check=SelfCheckStatus(ok=True)) == []


def test_a_sink_that_fails_and_is_far_behind_is_told():
    status = RecorderStatus(sinks={"clickhouse": SinkStatus(failures=9, lag_s=LAG_S, last_error="refused")})
    (one,) = standing(status, NOW_NS)
    assert (one.key, one.kind) == ("sink:clickhouse", "sink")
    assert one.describe().text.startswith("120 s behind: refused.")


def test_trouble_with_the_journal_lasts_for_as_long_as_it_is_fresh():
    assert found(last_error="journal: no room", last_error_ns=NOW_NS - 10**9) == [("journal", "journal")]
    assert found(last_error="journal: no room", last_error_ns=NOW_NS - 61 * 10**9) == []


def test_a_self_check_that_found_something_is_told():
    check = SelfCheckStatus(ok=False, doubled_calls=3, drifted_days=1)
    (one,) = standing(RecorderStatus(self_check=check), NOW_NS)
    assert one.kind == "self_check"
    assert "3 calls" in one.describe().text


def test_what_a_look_finds_is_among_what_it_looks_for():
    status = RecorderStatus(
        last_error="x",
        last_error_ns=NOW_NS,
        sinks={"a": SinkStatus(failures=1, lag_s=LAG_S)},
        self_check=SelfCheckStatus(ok=False),
    )
    assert {one.kind for one in standing(status, NOW_NS)} == set(LOOKED_FOR)


def test_only_losses_of_records_that_have_grown_are_told():
    before = {"segment_damaged": 2, "usage_option_refused": 1}
    now = {"segment_damaged": 5, "usage_option_refused": 9, "journal_full": 4}
    found = {one.key: one for one in losses(before, now)}
    assert set(found) == {"loss:segment_damaged", "loss:journal_full"}
    assert found["loss:segment_damaged"].describe().text.startswith("3 more, 5 in all.")
    assert found["loss:journal_full"].kind == "journal_full"
    assert found["loss:journal_full"].quiet_s is not None
