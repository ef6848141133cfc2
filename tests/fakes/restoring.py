"""A restore in a process of its own, as the command line is one: it loads the engine.

`python -m tests.fakes.restoring BACKUP [--force]`: settings on stdin, what was done as JSON on stdout, or the error.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from exporters.store.manifest import BackupError
from exporters.store.restore import restore_backup
from proxy.settings import Settings, from_json, to_json

ROOT = Path(__file__).parents[2]


class RestoreRefusedError(Exception):
    """With the message of the BackupError."""


def restoring(settings: Settings, source: Path, *, force: bool = False) -> dict[str, Any]:
    """What was done. Raises RestoreRefusedError."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.restoring", str(source), *(["--force"] if force else [])],
        cwd=ROOT,
        input=to_json(settings),
        capture_output=True,
        check=False,
        timeout=120,
    )
    if done.returncode == 3:
        raise RestoreRefusedError(done.stdout.decode())
    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _main() -> None:
    settings = from_json(sys.stdin.buffer.read())
    try:
        restored = restore_backup(
            settings, Path(sys.argv[1]), force="--force" in sys.argv, progress=lambda _stage, _done, _total: None
        )
    except BackupError as error:
        sys.stdout.write(str(error))
        sys.exit(3)
    sys.stdout.buffer.write(msgspec.json.encode(restored))


if __name__ == "__main__":
    _main()
