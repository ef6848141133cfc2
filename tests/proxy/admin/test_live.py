import asyncio
import json

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from proxy.admin.live import BUFFERED, MAX_READERS, Live, Reader


def test_a_slow_reader_loses_the_oldest_events_and_hears_how_many():
    reader = Reader(buffered=3)
    for number in range(10):
        reader.put(b"%d" % number)
    told = reader.take().decode()
    assert told.startswith('event: lost\ndata: {"count":7}\n\n')
    assert [line for line in told.splitlines() if line in {"data: 7", "data: 8", "data: 9"}] == [
        "data: 7",
        "data: 8",
        "data: 9",
    ]
    assert reader.take() == b""


async def test_events_of_any_thread_reach_every_page():
    live = Live(asyncio.get_running_loop())
    app = web.Application()
    app.router.add_get("/live", live.stream)
    assert not live.watched
    async with TestClient(TestServer(app)) as client:
        one, other = await client.get("/live"), await client.get("/live")
        assert one.content_type == "text/event-stream"
        assert live.watched
        await asyncio.to_thread(live.publish, [b'{"call_id":"c1"}'])
        for response in (one, other):
            await asyncio.wait_for(response.content.readuntil(b"event: call\n"), 5)
            line = await asyncio.wait_for(response.content.readline(), 5)
            assert json.loads(line.removeprefix(b"data: ")) == {"call_id": "c1"}
            response.close()


async def test_more_pages_than_may_be_are_sent_away():
    live = Live(asyncio.get_running_loop())
    live._readers = {Reader() for _ in range(MAX_READERS)}
    app = web.Application()
    app.router.add_get("/live", live.stream)
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/live")).status == 503


async def test_a_page_that_reads_nothing_costs_no_more_than_its_buffer():
    live = Live(asyncio.get_running_loop())
    reader = Reader()
    live._readers.add(reader)
    live._hand_out([b"x"] * 10 * BUFFERED)
    assert reader.lost == 9 * BUFFERED
    assert reader.take().count(b"event: call") == BUFFERED


async def test_events_after_the_end_of_the_loop_go_nowhere():
    loop = asyncio.new_event_loop()
    loop.close()
    Live(loop).publish([b"{}"])
