"""Let only callers with a virtual key draw on what is left of a budget.

What:
    Before the call is admitted, refuses it with 403 unless it came with a virtual key.

Config:
    None.

Example:
    `thresholds: [{at: 90%, do: [require_key]}]`

Source:
    Our own.
"""

from policies.actions.base import Action, Effect, Passed


def _act(passed: Passed) -> Effect | None:
    if passed.call.key:
        return None
    name, percent = passed.budget.name, f"{passed.threshold.at / 100:g} %"
    message = f"budget {name} is over {percent}: what is left is for callers with a virtual key"
    return Effect(deny_status=403, deny_code="key_required", message=message)


REQUIRE_KEY = Action(name="require_key", moment="before", act=_act)
