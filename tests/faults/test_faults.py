"""The short version of the fault suite: a round of most faults, with everything real. `make faults` is the long one.

TAXIMETER_FAULT_SEED makes it another one; the seed stands in the output, and a data folder in which something went
wrong stays where the failure says.
"""

import os
import sys

import pytest

from tests.faults.faults import FAULTS
from tests.faults.report import text_line
from tests.faults.suite import run

SEED = int(os.environ.get("TAXIMETER_FAULT_SEED", "11"))
KINDS = sorted({fault.stage for fault in FAULTS if fault.short})

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.mark.parametrize("kind", KINDS)
async def test_no_fault_loses_a_call_or_doubles_one(tmp_path, kind):
    chosen = [fault for fault in FAULTS if fault.short and fault.stage == kind]
    results = [result async for result in run(chosen, rounds=1, seed=SEED, folder=tmp_path)]
    said = f"seed {SEED}\n" + "".join(map(text_line, results))
    sys.stdout.write(said)
    assert [result for result in results if not result.account.holds] == [], said
    if all(result.skipped for result in results):
        pytest.skip(results[0].skipped)
    assert all(result.account.rows for result in results if not result.skipped)


def test_every_fault_has_a_name_of_its_own():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
