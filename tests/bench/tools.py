"""The mock provider and the load generator: compiled from `src` at need, and run."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "src"
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


class BenchError(Exception):
    """Nothing can be measured here; the text says why."""


@dataclass(frozen=True)
class Tools:
    """Paths of the compiled programs."""

    mock: Path
    load: Path


def build_tools(folder: Path) -> Tools:
    """Compile both programs into a folder. Raises BenchError without a Linux or a C compiler."""
    if not sys.platform.startswith("linux"):
        raise BenchError("the load generator needs Linux (epoll, timerfd, /proc)")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise BenchError("a C compiler is needed: apt-get install gcc libc6-dev")
    folder.mkdir(parents=True, exist_ok=True)
    built = [folder / name for name in ("mock", "load")]
    for program in built:
        command = [compiler, *_FLAGS, "-o", str(program), str(SOURCES / f"{program.name}.c"), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"{program.name}.c does not compile:\n{done.stderr}")
    return Tools(*built)


@contextmanager
def running_mock(tools: Tools, on_start: Callable[[int], None] = lambda _pid: None) -> Iterator[int]:
    """The mock provider on a free port of 127.0.0.1; the port is the value. `on_start(pid)` may pin the process."""
    process = subprocess.Popen([tools.mock, "0"], stdout=subprocess.PIPE, text=True)
    try:
        on_start(process.pid)
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def run_load(
    tools: Tools, url: str, body: Path, *options: str, pids: Sequence[int] = (), prefix: Sequence[str] = ()
) -> dict[str, Any]:
    """Run the load generator once; its figures, as `src/load.c` words them. Raises BenchError when it fails.

    Args:
        tools: The programs.
        url: `127.0.0.1:PORT/path?query`.
        body: File with the request's body.
        options: Further options of `src/load.c`.
        pids: Processes whose CPU time and memory are wanted.
        prefix: A command in front, such as `taskset -c 1`.
    """
    watched = ["--pids", ",".join(map(str, pids))] if pids else []
    command = [*prefix, str(tools.load), "--url", url, "--body", str(body), *options, *watched]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"the load generator failed: {done.stderr.strip()}")
    return json.loads(done.stdout)
