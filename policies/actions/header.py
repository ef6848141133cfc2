"""Tell the app, in a header of its answer, that a budget is running out.

What:
    After the call was admitted, adds `x-taximeter-budget: NAME; used=81%` to the answer.

Config:
    None.

Example:
    `thresholds: [{at: 80%, do: [header]}]`

Source:
    Our own.
"""

from policies.actions.base import Action, Effect, Passed, used_percent

NAME = "x-taximeter-budget"


def _act(passed: Passed) -> Effect:
    return Effect(header=(NAME, f"{passed.budget.name}; used={used_percent(passed)}%"))


HEADER = Action(name="header", moment="after", act=_act)
