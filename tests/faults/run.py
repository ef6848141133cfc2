"""`make faults`: makes every fault for many rounds, prints the table of figures, and writes it down.

Nothing of it is a mock: a whole Taximeter with two workers and the ClickHouse engine, apps and a provider that count for
themselves. Ends with 1 when anything was lost, doubled or told wrongly.
"""

import argparse
import asyncio
import platform
import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from tests.faults.faults import FAULTS, Fault
from tests.faults.report import Report, markdown, text_line
from tests.faults.suite import Result, run

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "build" / "faults.json"
DOCS = ROOT / "docs" / "faults.md"
MARKS = ("<!-- figures -->\n", "<!-- end of figures -->\n")


def main() -> None:
    """Read the arguments, run, print and write."""
    parser = argparse.ArgumentParser(description="The fault suite.")
    parser.add_argument("faults", nargs="*", help="names of faults; all when none is given")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of each fault, before its share")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "faults", help="where the data folders are")
    parser.add_argument("--list", action="store_true", help="say which faults there are")
    parser.add_argument("--docs", action="store_true", help="put the figures into docs/faults.md")
    asked = parser.parse_args()
    unknown = set(asked.faults) - {fault.name for fault in FAULTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    chosen = [fault for fault in FAULTS if not asked.faults or fault.name in asked.faults]
    if asked.list:
        sys.stdout.writelines(f"{fault.name:20} {fault.title}\n" for fault in chosen)
        return
    report = asyncio.run(_run(chosen, asked.rounds, asked.seed, asked.folder.resolve()))
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    sys.stdout.write(f"\n{markdown(report)}\nwritten to {FIGURES.relative_to(ROOT)}\n")
    if asked.docs:
        _write_docs(report)
    if not all(result.account.holds for result in report.results):
        sys.exit(1)


async def _run(chosen: list[Fault], rounds: int, seed: int, folder: Path) -> Report:
    sys.stdout.write(f"seed {seed}, {rounds} rounds\n")
    began_s = time.monotonic()
    results: list[Result] = []
    async for result in run(chosen, rounds, seed, folder):
        results.append(result)
        sys.stdout.write(text_line(result))
        sys.stdout.flush()
    return Report(
        seed=seed,
        rounds=rounds,
        seconds=round(time.monotonic() - began_s),
        commit=_commit(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        results=results,
    )


def _commit() -> str:
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return said.stdout.strip() or "unknown"


def _write_docs(report: Report) -> None:
    text = DOCS.read_text()
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    DOCS.write_text(f"{before}{MARKS[0]}\n{markdown(report)}\n{MARKS[1]}{after}")


if __name__ == "__main__":
    main()
