"""A sink that is dead for so long that the journal comes to its bound: a webhook that answers 503, and then 200."""

from typing import Any

from tests.fakes.until import until
from tests.faults.account import Told
from tests.faults.stage import PATIENCE_S, Stage, eventually

BOUND_BYTES = 1_500_000
"""Of the journal: some seconds of calls."""
_FEW = 10
_GIVEN_UP = "given_up"


async def until_the_bound(stage: Stage) -> None:
    """Away until calls are given up for it, and for some calls more; now and then the recorder is killed at that."""
    assert stage.receiver
    await stage.instant()
    before = (await _counts(stage)).get(_GIVEN_UP, 0)
    stage.receiver.is_up = False

    async def gives_up() -> None:
        if (await _counts(stage)).get(_GIVEN_UP, 0) <= before:
            raise ValueError("not yet")

    await eventually(gives_up, PATIENCE_S)
    if stage.dice.random() < 0.7:
        await stage.taximeter.kill("recorder-0")
        await stage.recovered()
    await stage.calls(200)
    stage.receiver.is_up = True
    await until(lambda: len(stage.sealed()) < _FEW, limit_s=PATIENCE_S)


async def told(stage: Stage) -> Told:
    """Nothing may be told as lost to the books; and what the receiver lacks is what is counted, call by call."""
    assert stage.receiver
    losses = await stage.losses()
    assert not {reason for reason in losses if reason.startswith("journal_full")}, losses
    known = {call.call_id for call in (await stage.known()).calls}
    given_up = (await _counts(stage)).get(_GIVEN_UP, 0)
    lacks = len(known - stage.receiver.calls)
    assert lacks == given_up == losses[_GIVEN_UP], f"the receiver lacks {lacks}, counted are {given_up}, {losses}"
    return Told()


async def _counts(stage: Stage) -> dict[str, Any]:
    sinks: dict[str, Any] = (await stage.status())["journal"]["sinks"]
    counts: dict[str, Any] = sinks["webhook-gone"]["counts"]
    return counts
