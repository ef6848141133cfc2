import asyncio
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from exporters.recorder.status import SelfCheckStatus
from exporters.schema.cluster import ServerForm
from exporters.schema.migrate import ensure_database, migrate
from exporters.schema.rollups import complete
from exporters.schema.ttl import table_ttls
from exporters.selfcheck import DayCheck, Findings
from exporters.upkeep import Upkeep, is_due, read_findings, run_upkeep, write_findings
from proxy.settings import Listen, Settings, StoreSettings
from tests.fakes.embedded_store import embedded_store
from tests.fakes.until import until

NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)


def ns(*when):
    return int(datetime(2026, 11, *when, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("hour", "ran_at_ns", "due"),
    [
        (3, None, True),
        (3, ns(24, 3, 1), False),
        (3, ns(24, 2, 59), True),
        (20, ns(23, 20, 1), False),
        (20, ns(23, 19), True),
        (14, ns(24, 13), True),
        (None, None, False),
    ],
)
def test_a_check_is_due_once_after_its_hour(hour, ran_at_ns, due):
    assert is_due(hour, ran_at_ns, NOW) is due


def test_what_is_known_is_kept(tmp_path):
    file = tmp_path / "selfcheck.json"
    assert read_findings(file) == Findings()
    found = Findings(ran_at_ns=1, days={NOW.date(): DayCheck(rows={"calls": 1}, drifted=["x"])})
    write_findings(file, found)
    assert read_findings(file) == found
    file.write_text("{torn")
    assert read_findings(file) == Findings()


def settings(folder, store):
    made = Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", 0),
        store=store,
        data_dir=folder,
        workers=1,
        providers=(),
    )
    made.run_dir.mkdir(parents=True, exist_ok=True)
    return made


def at_once(change):
    change()


def test_a_store_that_cannot_be_asked_is_told_and_left_alone_for_a_while(tmp_path):
    status = SelfCheckStatus()
    upkeep = Upkeep(settings(tmp_path, StoreSettings(url="http://127.0.0.1:1", user="u", password="")), status, at_once)
    upkeep.look(NOW)
    assert (status.ok, status.ran_at_ns) == (None, None)
    told = status.last_error
    assert told
    status.last_error = ""
    upkeep.look(NOW)
    assert status.last_error == ""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def client(store, request):
    database = f"test_{abs(hash(request.node.name))}"
    bare = store.client("default")
    ensure_database(bare, database)
    bare.close()
    client = store.client(database)
    yield client
    client.close()


@pytest.fixture
def upkeep(client, store, tmp_path):
    def upkeep(status, **changes):
        kept = msgspec.structs.replace(store.settings.store, database=client.database, **changes)
        return Upkeep(settings(tmp_path, kept), status, at_once)

    return upkeep


@pytest.mark.real
def test_it_waits_for_the_schema(client, upkeep):
    status = SelfCheckStatus()
    upkeep(status).look(datetime.now(UTC))
    assert (status.ran_at_ns, status.last_error) == (None, "")


@pytest.mark.real
def test_retention_is_set_once_and_doubles_are_told_over_restarts(client, upkeep):
    migrate(client)
    at = int((datetime.now(UTC) - timedelta(days=1)).timestamp())
    row = json.dumps({"call_id": "a", "attempt": 1, "started_at": f"{at}.5"})
    for table in ("calls", "attempts"):
        for token in ("one", "two"):
            settings = {"insert_deduplication_token": token, "async_insert": 0}
            client.raw_insert(table, insert_block=row.encode(), fmt="JSONEachRow", settings=settings)
    status = SelfCheckStatus()
    upkeep(status, retention={"attempts": 500, "calls": None}).look(datetime.now(UTC))
    assert (status.ok, status.doubled_calls, status.doubled_attempts) == (False, 1, 1)
    assert status.ran_at_ns
    ttls = table_ttls(client, ServerForm(client.database))
    assert (ttls["attempts"].said(), ttls["calls"].said()) == ("500 days", "never deleted")

    client.command("ALTER TABLE calls DELETE WHERE 1", settings={"mutations_sync": 2})
    later = SelfCheckStatus()
    again = upkeep(later)
    again.look(datetime.now(UTC))  # not due
    assert later.ran_at_ns is None
    again.look(datetime.now(UTC) + timedelta(days=1))
    assert (later.ok, later.doubled_calls, later.doubled_attempts) == (False, 0, 1)


@pytest.mark.real
def test_sums_that_have_drifted_are_told_and_made_anew(client, upkeep):
    migrate(client)
    at = int((datetime.now(UTC) - timedelta(days=1)).timestamp())
    row = json.dumps({"call_id": "a", "started_at": f"{at}.5"})
    client.raw_insert("calls", insert_block=row.encode(), fmt="JSONEachRow")
    client.command("TRUNCATE TABLE unrolled_days")
    client.command("TRUNCATE TABLE calls_by_day")
    status = SelfCheckStatus()
    kept = upkeep(status)
    kept.look(datetime.now(UTC))
    assert (status.ok, status.drifted_days) == (False, 1)
    assert "the sums of calls_by_day are not those of its rows" in status.findings[0]
    # The first look makes the day anew, the second one sees that it is right.
    for left in (1, 0):
        assert complete(client, 0.0) == left
    kept.look(datetime.now(UTC) + timedelta(days=1))
    assert (status.ok, status.drifted_days, status.findings) == (True, 0, [])


@pytest.mark.real
def test_a_name_that_is_no_table_is_told_and_the_check_goes_on(client, upkeep):
    migrate(client)
    status = SelfCheckStatus()
    kept = upkeep(status, retention={"typo": 3})
    kept.look(datetime.now(UTC))
    assert status.ok
    assert status.ran_at_ns


@pytest.mark.real
async def test_it_runs_beside_a_loop_and_ends_with_it(client, store, tmp_path):
    migrate(client)
    status, stop = SelfCheckStatus(), asyncio.Event()
    kept = msgspec.structs.replace(store.settings.store, database=client.database)
    running = asyncio.create_task(run_upkeep(settings(tmp_path, kept), status, stop))
    await until(lambda: status.ran_at_ns is not None)
    assert status.ok
    stop.set()
    async with asyncio.timeout(5):
        await running
