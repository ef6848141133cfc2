"""`make failover`: every fault at every moment against every chat dialect, whole and streamed; prints the table.

Nothing of it is a mock: a worker with its ledger, and providers and apps of raw sockets. Ends with 1 when anything came
out otherwise than it has to.
"""

import argparse
import asyncio
import logging
import sys

import structlog

from tests.failover.faults import FAULTS
from tests.failover.speech import SPEECHES
from tests.failover.suite import Seen, run_case

_ROW = "{:20} {:26} {:8} {:18} {:20} {:7} {:36} {:4} {:>7} {:>7}  {}\n"


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description="The failover suite.")
    parser.add_argument("faults", nargs="*", help="names of faults; all when none is given")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    seen = asyncio.run(_run(set(asked.faults)))
    wrong = sum(bool(one.wrong) for one in seen)
    sys.stdout.write(f"\n{len(seen)} cases, {wrong} wrong\n")
    sys.exit(1 if wrong or not seen else 0)


async def _run(names: set[str]) -> list[Seen]:
    sys.stdout.write(
        _ROW.format(
            "dialect", "fault", "answer", "outcome", "rule", "target", "at the app", "rows", "ledger", "record", ""
        )
    )
    seen: list[Seen] = []
    for speech in SPEECHES:
        for fault in FAULTS:
            if names and fault.name not in names:
                continue
            for streamed in (False, True):
                one = await run_case(fault, speech, streamed=streamed)
                if one is not None:
                    seen.append(one)
                    sys.stdout.write(_line(one))
    return seen


def _line(one: Seen) -> str:
    return _ROW.format(
        one.dialect,
        one.fault,
        "stream" if one.streamed else "whole",
        one.outcome,
        one.rule,
        one.target,
        one.at_client,
        one.rows,
        one.leased,
        one.spent,
        "" if not one.wrong else "WRONG: " + "; ".join(one.wrong),
    )


if __name__ == "__main__":
    main()
