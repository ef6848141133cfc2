from proxy.admin.findings import judge
from proxy.admin.metrics import status_families
from proxy.admin.usage import ProcessUsage
from tests.fakes.statuses import WELL, status, store


def told(shown, age_s=0.5):
    return {
        (sample.name.removeprefix("taximeter_"), *sample.labels.values()): sample.value
        for family in status_families(shown, age_s=age_s)
        for sample in family.samples
    }


def test_when_all_is_well_the_numbers_say_so():
    found = told(WELL)
    assert found["status_age_seconds",] == 0.5
    assert found["build_info", "1.2.3", "Python 3.11.7, Linux x86_64"] == 1
    assert found["process_up", "worker-0"] == 1
    assert found["process_restarts_total", "worker-0"] == 0
    assert found["store_up",] == 1
    assert found["store_schema_version",] == found["store_schema_wanted",] == 2
    assert found["store_clock_ahead_seconds",] == 0.01
    assert found["disk_free_bytes",] == 50 * 10**9
    assert {value for (name, *_), value in found.items() if name == "finding_bad"} == {0.0}


def test_a_process_that_died_is_down_and_counted():
    dead = {**WELL.processes[0], "state": "waiting", "pid": None, "deaths": 3, "last_exit": -9}
    found = told(status(processes=[dead], usage={}))
    assert found["process_up", "worker-0"] == 0
    assert found["process_restarts_total", "worker-0"] == 3
    assert found["finding_bad", "worker-0"] == 1


def test_what_a_process_takes_is_told_where_it_is_known():
    usage = {"worker-0": ProcessUsage(cpu_s=1.5, rss_bytes=4096), "supervisor": ProcessUsage(cpu_s=0, rss_bytes=1)}
    found = told(status(usage=usage))
    assert found["process_cpu_seconds_total", "worker-0"] == 1.5
    assert found["process_resident_memory_bytes", "worker-0"] == 4096
    assert ("process_open_fds", "worker-0") not in found


def test_of_a_store_that_does_not_answer_only_that_is_told():
    unknown = {"version": None, "schema_version": None, "clock_ahead_s": None, "answer_s": None}
    found = told(status(store=store(reachable=False, error="refused", **unknown)))
    assert found["store_up",] == 0
    assert {name for name, *_ in found if name.startswith("store_")} == {"store_up", "store_schema_wanted"}


def test_the_judgement_is_the_one_of_doctor():
    shown = status(store=store(clock_ahead_s=99.0), disk_free_bytes=1)
    bad = {finding.about for finding in judge(shown) if finding.state == "bad"}
    assert {about for (name, about), value in pairs(told(shown)) if value and name == "finding_bad"} == bad
    assert "clock" in bad


def pairs(found):
    return [(key, value) for key, value in found.items() if len(key) == 2]
