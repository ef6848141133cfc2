import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from proxy.supervisor import ChildSpec, Pace, StartError, Supervisor, child_environment
from tests.fakes.config_files import load

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

FAKE = (sys.executable, str(Path(__file__).parents[1] / "fakes" / "child_roles.py"))
QUICK = Pace(first_delay_s=0.01, most_delay_s=0.05, hurry_s=0.3)


@contextlib.asynccontextmanager
async def supervised(tmp_path, *specs, pace=QUICK):
    settings = load(tmp_path, None)
    settings.data_dir.mkdir()
    changes = Changes()
    supervisor = Supervisor(specs, lambda _role: settings, on_change=changes.hear, command=FAKE, pace=pace)
    try:
        yield supervisor, settings.data_dir, changes
    finally:
        supervisor.hurry()
        await supervisor.stop()


class Changes:
    """Hears what a supervisor tells, and waits for a state of affairs."""

    def __init__(self):
        self._now = []
        self._changed = asyncio.Event()

    def hear(self, processes):
        self._now = processes
        self._changed.set()

    async def until(self, condition):
        while not condition(self._now):
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 30)
        return self._now


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_start_returns_when_every_child_is_ready(tmp_path):
    async with supervised(tmp_path, ChildSpec("steady", 0), ChildSpec("steady", 1)) as (supervisor, _, _):
        await supervisor.start()
        processes = supervisor.processes()
        assert [(p["name"], p["state"]) for p in processes] == [("steady-0", "ready"), ("steady-1", "ready")]
        assert all(not gone(p["pid"]) for p in processes)


async def test_a_killed_child_is_started_again(tmp_path):
    async with supervised(tmp_path, ChildSpec("steady")) as (supervisor, _, changes):
        await supervisor.start()
        pid = supervisor.processes()[0]["pid"]
        os.kill(pid, signal.SIGKILL)
        (after,) = await changes.until(lambda now: now[0]["state"] == "ready" and now[0]["pid"] != pid)
        assert after["deaths"] == 1
        assert after["last_exit"] == -signal.SIGKILL


async def test_stop_drains_children_stage_by_stage(tmp_path):
    specs = (ChildSpec("late", stop_stage=1), ChildSpec("steady", 0), ChildSpec("steady", 1))
    async with supervised(tmp_path, *specs) as (supervisor, data, _):
        await supervisor.start()
        pids = [p["pid"] for p in supervisor.processes()]
        await supervisor.stop()
        told = (data / "all.txt").read_text().splitlines()
        assert [line for line in told if "drained" in line] == ["steady drained", "steady drained", "late drained"]
        assert all(gone(pid) for pid in pids)
        assert {p["state"] for p in supervisor.processes()} == {"ended"}


async def test_a_child_that_never_comes_up_fails_the_start_by_name(tmp_path):
    async with supervised(tmp_path, ChildSpec("steady"), ChildSpec("doomed")) as (supervisor, data, _):
        with pytest.raises(StartError, match=r"doomed-0 ended 3 times .* \(status 1\)"):
            await supervisor.start()
        assert (data / "doomed-0.txt").read_text().splitlines() == ["tried"] * 3


async def test_a_child_that_says_why_it_cannot_fails_the_start_with_its_words_at_once(tmp_path):
    async with supervised(tmp_path, ChildSpec("steady"), ChildSpec("unable")) as (supervisor, data, _):
        with pytest.raises(StartError, match="unable-0: the port is taken"):
            await supervisor.start()
        assert (data / "unable-0.txt").read_text().splitlines() == ["tried"]


@pytest.mark.parametrize("role", ["unable", "doomed"])
async def test_without_a_child_that_is_not_needed_the_others_serve(tmp_path, role):
    async with supervised(tmp_path, ChildSpec("steady"), ChildSpec(role, needed=False)) as (supervisor, _, _):
        await supervisor.start()
        steady, other = supervisor.processes()
        assert steady["state"] == "ready"
        assert other["state"] != "ready"
        assert other["why"] == ("the port is taken" if role == "unable" else "")


async def test_a_child_that_is_not_needed_is_tried_again_until_it_serves(tmp_path):
    async with supervised(tmp_path, ChildSpec("steady"), ChildSpec("healing", needed=False)) as (supervisor, data, now):
        await supervisor.start()
        assert supervisor.processes()[1]["why"] == "not healed yet"
        (data / "healed").touch()
        _, healed = await now.until(lambda processes: processes[1]["state"] == "ready")
        assert healed["why"] == ""


async def test_a_program_that_cannot_be_started_fails_the_start(tmp_path):
    settings = load(tmp_path, None)
    supervisor = Supervisor([ChildSpec("steady")], lambda _: settings, command=["/nonexistent/program"], pace=QUICK)
    with pytest.raises(StartError, match="status 127"):
        await supervisor.start()
    await supervisor.stop()


async def test_a_child_that_does_not_end_in_time_is_killed(tmp_path):
    async with supervised(tmp_path, ChildSpec("deaf", stop_s=0.2)) as (supervisor, _, _):
        await supervisor.start()
        pid = supervisor.processes()[0]["pid"]
        await supervisor.stop()
        assert gone(pid)


async def test_hurry_tells_a_draining_child_to_end_now(tmp_path):
    patient = Pace(hurry_s=30)
    async with supervised(tmp_path, ChildSpec("stubborn", stop_s=60), pace=patient) as (supervisor, data, changes):
        await supervisor.start()
        stopping = asyncio.create_task(supervisor.stop())
        await changes.until(lambda now: now[0]["state"] == "stopping")
        supervisor.hurry()
        await asyncio.wait_for(stopping, 20)
        assert (data / "stubborn-0.txt").read_text() == "cancelled\n"


async def test_what_a_child_prints_besides_is_drained_and_ignored(tmp_path):
    async with supervised(tmp_path, ChildSpec("noisy")) as (supervisor, _, _):
        await supervisor.start()
        assert supervisor.processes()[0]["state"] == "ready"


async def test_stop_in_the_midst_of_a_start_leaves_nobody(tmp_path):
    async with supervised(tmp_path, ChildSpec("steady")) as (supervisor, _, changes):
        starting = asyncio.create_task(supervisor.start())
        (process,) = await changes.until(lambda now: now and now[0]["pid"])
        starting.cancel()
        await supervisor.stop()
        assert gone(process["pid"])


async def test_a_signal_sent_by_the_terminal_to_the_whole_group_does_not_end_a_child(tmp_path):
    async with supervised(tmp_path, ChildSpec("steady")) as (supervisor, data, _):
        await supervisor.start()
        pid = supervisor.processes()[0]["pid"]
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGHUP)
        await supervisor.stop()
        assert (data / "steady-0.txt").read_text().splitlines()[-1] == "drained"
        assert supervisor.processes()[0]["deaths"] == 0


async def test_watch_returns_at_the_stop(tmp_path):
    async with supervised(tmp_path, ChildSpec("steady")) as (supervisor, _, _):
        await supervisor.start()
        stop = asyncio.Event()
        watching = asyncio.create_task(supervisor.watch(stop))
        stop.set()
        await asyncio.wait_for(watching, 20)
        assert supervisor.processes()[0]["state"] == "ready"


async def test_children_drain_when_the_supervisor_is_gone(tmp_path):
    """The supervisor runs in a process of its own here, and is killed."""
    program = f"""
import asyncio
from pathlib import Path
from tests.fakes.config_files import load
from proxy.supervisor import ChildSpec, Supervisor

async def main():
    settings = load(Path({str(tmp_path)!r}), None)
    supervisor = Supervisor([ChildSpec("steady")], lambda _: settings, command={FAKE!r})
    await supervisor.start()
    print(supervisor.processes()[0]["pid"], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    child = int(await process.stdout.readline())
    process.kill()
    await process.wait()
    # The child holds the other end of stderr too: it ends when the last of the two is gone.
    await asyncio.wait_for(process.stderr.read(), 20)
    assert (tmp_path / "data" / "steady-0.txt").read_text().splitlines() == [f"ready {child}", "drained"]


def test_a_child_s_environment_holds_what_it_needs_to_run_and_no_key():
    ours = {"PATH": "/bin", "LC_ALL": "C", "PYTHONPATH": "/x", "OPENAI_API_KEY": "sk", "AWS_SECRET": "s", "TZ": "UTC"}

    theirs = child_environment(ours)

    assert set(theirs) - {"PYTHONPATH"} == {"PATH", "LC_ALL", "TZ"}
    assert theirs["PYTHONPATH"].endswith("/x")
