"""A whole Taximeter, started as a person would, on free ports and a data folder of its own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from proxy.runstate import FILE_NAME

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """\
listen: 127.0.0.1:0
admin: 127.0.0.1:0
shutdown_grace: 2s
store: {listen: "127.0.0.1:0"}
"""
_PATIENCE_S = 60.0


class Whole:
    """A running `taximeter serve`."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process, banner: str) -> None:
        self.folder = folder
        self.process = process
        self.banner = banner

    @property
    def state(self) -> dict[str, Any]:
        """What its supervisor says of it."""
        found: dict[str, Any] = json.loads((self.folder / "data" / "run" / FILE_NAME).read_text())
        return found

    def pid(self, name: str) -> int:
        """The process of one of its children."""
        pid: int = next(child["pid"] for child in self.state["processes"] if child["name"] == name)
        return pid

    @property
    def url(self) -> str:
        """Where apps reach it."""
        return f"http://127.0.0.1:{self.state['listen']['port']}"

    @property
    def admin(self) -> str:
        """Where people reach it."""
        return f"http://127.0.0.1:{self.state['admin']['port']}"

    async def ends(self) -> int:
        """Its exit status, once it has ended."""
        return await asyncio.wait_for(self.process.wait(), _PATIENCE_S)


async def taximeter(folder: Path, *arguments: str, stdin: bytes | None = None) -> tuple[int, str, str]:
    """Run one command in the folder: exit status, stdout, stderr."""
    process = await _start(folder, *arguments, stderr=asyncio.subprocess.PIPE)
    output, errors = await asyncio.wait_for(process.communicate(stdin), _PATIENCE_S)
    return process.returncode or 0, output.decode(), errors.decode()


@asynccontextmanager
async def serving(
    folder: Path, *arguments: str, config: str = CONFIG, stderr: int | None = None, path: str = ""
) -> AsyncIterator[Whole]:
    """A Taximeter that serves until the block ends.

    Args:
        folder: Where it is started.
        arguments: Of `taximeter serve`.
        config: Its `taximeter.yaml`.
        stderr: An open file for what it says; None for our own stderr.
        path: A further folder of Python modules, for it and its children.
    """
    (folder / "taximeter.yaml").write_text(config)
    process = await _start(folder, "serve", *arguments, stderr=stderr, path=path)
    assert process.stdout
    lines: list[str] = []
    while not lines or "Then look" not in lines[-1]:
        line = await asyncio.wait_for(process.stdout.readline(), _PATIENCE_S)
        assert line, "it ended before it was ready; its reason stands in the captured stderr"
        lines.append(line.decode())
    try:
        yield Whole(folder, process, "".join(lines))
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), _PATIENCE_S)


async def _start(folder: Path, *arguments: str, stderr: int | None, path: str = "") -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAXIMETER_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "proxy",
        *arguments,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE if stderr == asyncio.subprocess.PIPE else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env=environment | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), path)))},
    )
