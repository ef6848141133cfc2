"""A body of known length is read as it arrives, to its end or to its break."""

import asyncio

import pytest

from proxy.downstream.arriving_body import ArrivingBody


def body(first: bytes, missing_bytes: int) -> ArrivingBody:
    return ArrivingBody(first, missing_bytes, asyncio.get_running_loop())


async def test_what_is_there_is_read_at_once_and_the_rest_as_it_comes():
    arriving = body(b"ab", 3)

    assert await arriving.readany() == b"ab"
    waiting = asyncio.ensure_future(arriving.readany())
    await asyncio.wait({waiting}, timeout=0)
    arriving.feed(b"cd")
    assert await waiting == b"cd"
    assert not arriving.is_eof()
    arriving.feed(b"e")
    assert arriving.is_eof()
    assert await arriving.readany() == b"e"
    assert await arriving.readany() == b""


async def test_everything_that_is_there_can_be_taken_without_waiting():
    arriving = body(b"ab", 2)
    arriving.feed(b"cd")

    assert arriving.read_nowait(-1) == b"abcd"
    assert arriving.read_nowait() == b""
    with pytest.raises(ValueError, match="as it comes"):
        arriving.read_nowait(1)


async def test_a_break_is_heard_by_who_waits_and_by_who_comes_later_after_what_was_there():
    arriving = body(b"", 2)
    waiting = asyncio.ensure_future(arriving.readany())
    await asyncio.wait({waiting}, timeout=0)

    arriving.set_exception(ConnectionResetError("gone"))

    with pytest.raises(ConnectionResetError):
        await waiting
    with pytest.raises(ConnectionResetError):
        await arriving.readany()
    later = body(b"ab", 1)
    later.set_exception(ConnectionResetError("gone"))
    assert await later.readany() == b"ab"
    with pytest.raises(ConnectionResetError):
        await later.readany()


async def test_a_complete_body_cannot_break():
    arriving = body(b"ab", 0)

    arriving.set_exception(ConnectionResetError("gone"))

    assert await arriving.readany() == b"ab"
    assert await arriving.readany() == b""
