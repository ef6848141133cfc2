"""The time limits of an exchange: every sign of life puts the end off, and nothing does once it is over."""

import asyncio
from typing import Any, cast

import pytest

from proxy.exchange import Exchange
from proxy.upstream.framing import parse_head

HEAD = parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", method="POST")
FIRST_BYTE_S, IDLE_S = 600.0, 300.0


class Clock:
    """A loop of which only the time is asked, and the futures."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.create_future = asyncio.get_running_loop().create_future

    def time(self) -> float:
        return self.now_s


class Side:
    """Stands on either side of the exchange, and takes everything."""

    writing_stopped = False
    write_paused = False
    unsent_bytes = 0

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.aborted = False

    def begin(self, _sink: object, _method: str, data: bytes) -> None:
        self.taken.append(data)

    def write(self, data: bytes) -> None:
        self.taken.append(data)

    def send(self, data: bytes) -> None:
        self.taken.append(data)

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
async def clock() -> Clock:
    return Clock()


def begun(clock: Clock, provider: Side, app: Side) -> Exchange:
    exchange = Exchange(
        cast("Any", app),
        cast("Any", clock),
        http10=False,
        keep_client=True,
        extra_head=b"",
        watch=lambda head: (cast("Any", None), None),
        relays_continue=True,
        upgrades=False,
        holds=lambda head: False,
    )
    exchange.start(cast("Any", provider), "POST", b"head", FIRST_BYTE_S, IDLE_S)
    return exchange


async def test_a_request_that_still_flows_puts_the_first_byte_off(clock: Clock):
    exchange = begun(clock, Side(), Side())
    assert exchange.deadline_s == FIRST_BYTE_S

    clock.now_s = 500.0
    exchange.send_request(b"more")

    assert exchange.deadline_s == 500.0 + FIRST_BYTE_S


async def test_a_request_that_still_flows_keeps_an_answer_alive_that_has_begun(clock: Clock):
    exchange = begun(clock, Side(), Side())
    exchange.on_head(HEAD, more=False)
    assert exchange.deadline_s == IDLE_S

    clock.now_s = 299.0
    exchange.send_request(b"more")

    assert exchange.deadline_s == 299.0 + IDLE_S


async def test_every_piece_of_the_answer_puts_the_end_off(clock: Clock):
    exchange = begun(clock, Side(), Side())
    exchange.on_head(HEAD, more=False)

    clock.now_s = 299.0
    exchange.on_data(b"1\r\nx\r\n", [b"x"])

    assert exchange.deadline_s == 299.0 + IDLE_S


async def test_once_it_is_over_there_is_no_limit_and_nothing_is_sent(clock: Clock):
    provider = Side()
    exchange = begun(clock, provider, Side())
    exchange.on_head(HEAD, more=False)
    exchange.on_end()

    exchange.send_request(b"late")
    exchange.expire()

    assert exchange.deadline_s == float("inf")
    assert provider.taken == [b"head"]
    assert exchange.error is None


async def test_a_limit_that_ran_out_lets_the_provider_go_and_says_which_it_was(clock: Clock):
    waiting, stalled = Side(), Side()
    before, after = begun(clock, waiting, Side()), begun(clock, stalled, Side())
    after.on_head(HEAD, more=False)

    before.expire()
    after.expire()

    assert waiting.aborted
    assert stalled.aborted
    assert [one.error.phase for one in (before, after)] == ["first_byte", "idle"]
    assert all(one.error.timed_out for one in (before, after))


async def test_a_provider_that_still_takes_the_request_is_given_time(clock: Clock):
    provider = Side()
    exchange = begun(clock, provider, Side())
    provider.write_paused = True

    for unsent_bytes in (9_000_000, 8_000_000, 1_000_000):
        provider.unsent_bytes = unsent_bytes
        clock.now_s = exchange.deadline_s
        exchange.expire()

        assert not exchange.ended
        assert exchange.deadline_s == clock.now_s + IDLE_S
    exchange.expire()

    assert exchange.ended
    assert provider.aborted
    assert exchange.error.phase == "first_byte"
