"""A copy in a process of its own, to be killed at will.

`python -m tests.fakes.copying`: settings of source and target as two lines on stdin; "moved" on stdout for every piece,
at last the result as JSON, or the error behind "refused: ".
"""

import subprocess
import sys
from pathlib import Path

import msgspec

from exporters.moving.copying import Step, Wish, copy_store
from exporters.moving.errors import CopyError
from exporters.moving.result import CopyResult
from proxy.settings import Settings, from_json, to_json

ROOT = Path(__file__).parents[2]


def start_copying(source: Settings, target: Settings) -> "subprocess.Popen[bytes]":
    """A copy under way."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.copying"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    process.stdin.write(to_json(source) + b"\n" + to_json(target) + b"\n")
    process.stdin.close()
    return process


def outcome(process: "subprocess.Popen[bytes]") -> CopyResult:
    """How it ended, once it has."""
    assert process.stdout
    last = b""
    for line in process.stdout:
        last = line
    process.wait(timeout=60)
    process.stdout.close()
    assert process.returncode == 0, last.decode()
    return msgspec.json.decode(last, type=CopyResult)


def _main() -> None:
    source, target = (from_json(sys.stdin.buffer.readline()) for _ in range(2))
    sent = 0

    def tell(step: Step) -> None:
        nonlocal sent
        if step.sent_rows > sent:
            sent = step.sent_rows
            sys.stdout.write("moved\n")
            sys.stdout.flush()

    try:
        result = copy_store(source, Wish(target=target.store), tell)
    except CopyError as error:
        sys.stdout.write(f"refused: {error}\n")
        sys.exit(3)
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    _main()
