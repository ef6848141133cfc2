"""What a budget's threshold can do. Each action is one file; this list is all of them."""

from policies.actions.alert import ALERT
from policies.actions.base import Action
from policies.actions.deny import DENY
from policies.actions.downgrade import DOWNGRADE
from policies.actions.header import HEADER
from policies.actions.require_key import REQUIRE_KEY

ACTIONS: tuple[Action, ...] = (ALERT, HEADER, DOWNGRADE, REQUIRE_KEY, DENY)
