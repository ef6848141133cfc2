"""A worker whose file system fills up: calls are refused or go on, as it was told, and it goes on by itself."""

import asyncio
import contextlib
import subprocess
from contextlib import asynccontextmanager

import pytest

from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import claim_dead, list_segments, read_segment, recover
from exporters.journal.room import Limits
from exporters.journal.writer import Journal
from proxy.core.record import CallRecord, LossRecord
from proxy.settings import Listen, Settings, StoreSettings
from proxy.worker import run_worker
from tests.fakes.raw_upstream import answers, raw_upstream
from tests.fakes.running_worker import ledger_of
from tests.fakes.settings import provider
from tests.fakes.until import until

pytestmark = pytest.mark.real

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /p/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@asynccontextmanager
async def working(folder, upstream, on_full):
    """A worker with a real journal on the small disk; gives what sends a call and brings its status."""
    loop = asyncio.get_running_loop()
    limits = Limits(reserve_bytes=128 * 1024, on_full=on_full)
    journal = Journal(folder / "journal", "w", segment_s=0.05, call_later=loop.call_later, limits=limits)
    settings = Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:1", user="", password=""),
        data_dir=folder,
        workers=1,
        providers=(provider("p", upstream.url),),
    )
    stop, ready = asyncio.Event(), loop.create_future()
    task = asyncio.ensure_future(run_worker(settings, journal, stop, ready.set_result, ledger_of(settings)))
    port = await ready

    async def call():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        answer = await reader.read()
        writer.close()
        return int(answer.split(b" ")[1]), answer

    try:
        yield call, journal
    finally:
        stop.set()
        await task
        await asyncio.to_thread(journal.close)


def recorded(journal_dir):
    """Calls and losses in the journal."""
    with claim_dead(journal_dir, "w"):
        recover(journal_dir, "w", Quarantine(journal_dir))
    sealed = list_segments(journal_dir, "w").sealed
    records = [record for number in sorted(sealed) for record in read_segment(sealed[number]).records]
    losses = {}
    for record in records:
        for reason, count in record.counts.items() if isinstance(record, LossRecord) else ():
            losses[reason] = losses.get(reason, 0) + count
    return [record for record in records if isinstance(record, CallRecord)], losses


@pytest.mark.parametrize(
    ("on_full", "status", "reason"), [("pass", 200, "journal_full"), ("refuse", 503, "journal_full_refused")]
)
async def test_a_full_disk_and_room_again(small_disk, on_full, status, reason):
    async with raw_upstream(answers(OK)) as upstream, working(small_disk, upstream, on_full) as (call, journal):
        assert [(await call())[0] for _ in range(3)] == [200] * 3
        with (small_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        while not journal.full:
            await call()
        sent, forwarded = 5, len(upstream.requests)
        found = [await call() for _ in range(sent)]
        assert [one[0] for one in found] == [status] * sent
        assert len(upstream.requests) - forwarded == (sent if status == 200 else 0)
        if status == 503:
            assert b"Taximeter: there is no room to record this call" in found[0][1]
        (small_disk / "filler").unlink()
        await until(lambda: not journal.full)
        assert (await call())[0] == 200
        answered = len(upstream.requests)
    calls, losses = recorded(small_disk / "journal")
    good = [one for one in calls if one.outcome == "ok"]
    assert losses[reason] >= sent
    assert len(good) + (losses[reason] if on_full == "pass" else 0) == answered
