"""A status in which everything is well; tests change what they are about."""

import msgspec

from proxy.admin.status import JournalLimits, JournalStatus, SinkState, Status, StoreStatus

WELL = Status(
    version="1.2.3",
    platform="Python 3.11.7, Linux x86_64",
    packages={"aiohttp": "3.14.5", "chdb": None},
    at_s=1_790_000_000.0,
    config_file=None,
    data_dir="/data",
    supervisor_pid=100,
    orphans=False,
    started_at_s=1_790_000_000.0 - 3700,
    listen="http://127.0.0.1:8484",
    admin="http://127.0.0.1:8485",
    processes=[
        {"name": "worker-0", "role": "worker", "slot": 0, "pid": 101, "state": "ready", "deaths": 0, "last_exit": None},
        {"name": "store-0", "role": "store", "slot": 0, "pid": 102, "state": "ready", "deaths": 0, "last_exit": None},
    ],
    store=StoreStatus(
        url="http://127.0.0.1:8486",
        embedded=True,
        reachable=True,
        version="26.9",
        schema_version=2,
        schema_wanted=2,
        answer_s=0.005,
        clock_ahead_s=0.01,
    ),
    journal=JournalStatus(
        sinks={"clickhouse": SinkState(reachable=True, lag_s=0.1, failures=0, last_error="", counts={"calls": 1234})}
    ),
    journal_limits=JournalLimits(max_bytes=4 * 1024**3, min_free_bytes=256 * 1024**2, on_full="pass"),
    told_by="recorder",
    disk_free_bytes=50 * 10**9,
    disk_total_bytes=100 * 10**9,
)


def status(**changes: object) -> Status:
    """WELL, but for these fields."""
    return msgspec.structs.replace(WELL, **changes)


def store(**changes: object) -> StoreStatus:
    """The store of WELL, but for these fields."""
    return msgspec.structs.replace(WELL.store, **changes)
