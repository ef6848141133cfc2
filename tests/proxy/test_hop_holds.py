"""A further attempt holds as much again, where money is counted."""

from types import SimpleNamespace

from policies.demand import Admitted, Demand, Refused
from proxy.call import Permit
from proxy.core.record import Draw
from proxy.hop_holds import hold_again

USD = Demand(counter="b", family="b", policy="budget:b", unit="USD", amount=7, limit=10, stated=10)
CALLS = Demand(counter="c", family="c", policy="budget:c", unit="calls", amount=1, limit=10, stated=10)


class Ledger:
    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    async def extend(self, call_id, amounts, now_ns):
        self.asked.append(amounts)
        return self.answer


def call():
    draws = (Draw(counter="b", unit="USD", held=7), Draw(counter="c", unit="calls", held=1))
    return SimpleNamespace(call_id="x", permit=Permit(demands=(USD, CALLS), draws=draws, recorded=draws[:1]))


async def test_money_is_held_once_more_and_the_call_is_counted_once():
    one, ledger = call(), Ledger(Admitted())

    assert await hold_again(SimpleNamespace(ledger=ledger), one)
    assert ledger.asked == [[7, 0]]
    assert [draw.held for draw in one.permit.draws] == [14, 1]
    assert [draw.held for draw in one.permit.recorded] == [14]


async def test_where_a_budget_has_no_room_there_is_no_further_attempt():
    one = call()

    assert not await hold_again(SimpleNamespace(ledger=Ledger(Refused(demand=USD))), one)
    assert one.permit.draws[0].held == 7


async def test_without_policies_nothing_is_held():
    assert await hold_again(None, SimpleNamespace(permit=None))
