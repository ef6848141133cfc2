"""A part of `make failover`: each way to end, in each dialect."""

import pytest

from tests.failover.faults import FAULTS
from tests.failover.speech import SPEECHES
from tests.failover.suite import run_case

CHOSEN = (
    "refused",
    "reset mid-stream",
    "error in a 200 body",
    "error as first event",
    "no end marker",
    "429",
    "hedged: head alone",
)


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
@pytest.mark.parametrize("fault", [one for one in FAULTS if one.name in CHOSEN], ids=lambda fault: fault.name)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_what_goes_wrong_at_one_target_comes_out_as_it_has_to(speech, fault, streamed):
    seen = await run_case(fault, speech, streamed=streamed)

    assert seen is None or seen.wrong == ()
