"""A sink that takes nothing costs disk, not memory."""

import hashlib
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from exporters.journal.names import SegmentName
from exporters.recorder.state import memory_on_disk
from proxy.settings import Listen, Settings, StoreSettings, to_json
from tests.fakes.records import call, call_id

ROOT = Path(__file__).parents[3]
CALLS_PER_SEGMENT = 200
MAX_GROWTH_MIB = 12.0


def write_backlog(journal_dir, segments):
    """Segments as a worker leaves them."""
    (journal_dir / "w").mkdir(parents=True)
    line = msgspec.json.encode(call(1)) + b"\n"
    for number in range(1, segments + 1):
        first = number * CALLS_PER_SEGMENT
        data = b"".join(
            line.replace(call_id(1).encode(), call_id(first + offset).encode()) for offset in range(CALLS_PER_SEGMENT)
        )
        name = SegmentName(number, CALLS_PER_SEGMENT, hashlib.sha256(data).hexdigest())
        (journal_dir / "w" / name.file_name).write_bytes(data)


def peak_mib(data_dir, segments):
    """The most memory that a recorder has had once it has read all that, and tried to deliver it several times."""
    settings = Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:1", user="u", password="p"),
        data_dir=data_dir,
        workers=1,
        providers=(),
    )
    write_backlog(settings.journal_dir, segments)
    command = [sys.executable, "-m", "tests.fakes.stuck_recorder"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(to_json(settings) + b"\n")
    process.stdin.flush()
    while process.stdout.readline() not in {b"read\n", b""}:
        pass
    status = Path(f"/proc/{process.pid}/status").read_text()
    process.terminate()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert memory_on_disk(settings.run_dir / "recorder.sqlite").read == {"w": segments}
    assert len(list((settings.journal_dir / "w").glob("*.jsonl"))) == segments
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_backlog_of_200_000_calls_takes_no_more_memory_than_one_of_20_000(tmp_path):
    small = peak_mib(tmp_path / "small", segments=100)
    large = peak_mib(tmp_path / "large", segments=1000)
    assert large - small < MAX_GROWTH_MIB
