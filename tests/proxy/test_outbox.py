"""Writes leave in their order at the end of a turn, and before a transport closes."""

import asyncio

import pytest

from proxy.outbox import MOST_WAITING, Outbox
from tests.fakes.until import until


class Transport(asyncio.WriteTransport):
    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.log.append(data)

    def is_closing(self) -> bool:
        return self.closing


@pytest.fixture
async def outbox() -> Outbox:
    return Outbox(asyncio.get_running_loop())


async def test_what_is_put_leaves_at_the_end_of_the_turn_in_its_order(outbox: Outbox):
    one, two = Transport(), Transport()

    outbox.put(one, b"a")
    outbox.put(two, b"x")
    outbox.put(one, b"b")

    assert one.log == two.log == []
    await until(lambda: one.log)
    assert (one.log, two.log) == ([b"a", b"b"], [b"x"])


async def test_many_writes_do_not_wait_for_the_turn(outbox: Outbox):
    transport = Transport()

    for _ in range(MOST_WAITING):
        outbox.put(transport, b"a")

    assert len(transport.log) == MOST_WAITING


async def test_a_flush_sends_what_waits_at_once_and_once(outbox: Outbox):
    transport = Transport()
    outbox.put(transport, b"a")

    outbox.flush()
    outbox.flush()
    outbox.put(transport, b"b")
    await until(lambda: len(transport.log) == 2)

    assert transport.log == [b"a", b"b"]


async def test_what_is_closed_is_passed_over(outbox: Outbox):
    closed, open_ = Transport(), Transport()
    closed.closing = True
    outbox.put(closed, b"a")
    outbox.put(open_, b"b")

    outbox.flush()

    assert (closed.log, open_.log) == ([], [b"b"])
