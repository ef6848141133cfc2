"""Ask for a cheaper model when a budget is running out.

What:
    Before the call is admitted, names the model to ask for instead: the call takes the route of that model
    (`policies.downgrade`). Its record has both.

Config:
    `model`: the model to ask for, an alias, or `provider/model`.

Example:
    `thresholds: [{at: 90%, do: [downgrade], model: MiniMax-M2}]`

Source:
    Our own.
"""

from policies.actions.base import Action, Effect, Passed


def _act(passed: Passed) -> Effect | None:
    wanted = (passed.call.request.model or "").lower()
    return None if wanted == passed.threshold.model.lower() else Effect(model=passed.threshold.model)


DOWNGRADE = Action(name="downgrade", moment="before", act=_act)
