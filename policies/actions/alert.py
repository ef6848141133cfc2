"""Tell somebody that a budget is running out.

What:
    After the call was admitted, gives one sentence with the budget, its scope, what is used and the limit. It is sent
    once for each counter and threshold, wherever alerts go.

Config:
    None.

Example:
    `thresholds: [{at: 80%, do: [alert]}]`

Source:
    Our own.
"""

from policies.actions.base import Action, Effect, Passed, used_percent
from policies.wording import rounded_text


def _act(passed: Passed) -> Effect:
    of = f" of {passed.scope}" if passed.scope else ""
    used, limit = rounded_text(passed.used, passed.budget.unit), rounded_text(passed.stated, passed.budget.unit)
    return Effect(alert=f"budget {passed.budget.name}{of}: {used_percent(passed)} % used, {used} of {limit}")


ALERT = Action(name="alert", moment="after", act=_act)
