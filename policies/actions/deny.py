"""Refuse calls before the limit itself is reached.

What:
    Before the call is admitted, refuses it with the budget's own status. What is used counts holds, so that this bites
    as soon as calls under way might reach the threshold.

Config:
    None.

Example:
    `thresholds: [{at: 95%, do: [deny]}]`

Source:
    Our own.
"""

from policies.actions.base import Action, Effect, Passed


def _act(passed: Passed) -> Effect:
    name, percent = passed.budget.name, f"{passed.threshold.at / 100:g} %"
    message = f"budget {name} is over {percent}, from where on its calls are refused"
    return Effect(deny_status=passed.budget.status, deny_code="budget_threshold", message=message)


DENY = Action(name="deny", moment="before", act=_act)
