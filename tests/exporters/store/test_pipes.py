"""Named pipes with an engine played by a thread: it opens, reads and writes as the engine does."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from exporters.store.pipes import PipeReader, PipeWriter
from tests.fakes.until import turn

LARGE = os.urandom(3_000_000)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as executor:
        yield executor


def in_thread(threads, call):
    return asyncio.get_running_loop().run_in_executor(threads, call)


async def test_what_the_engine_writes_is_read_to_the_end(tmp_path, threads):
    reader = PipeReader(tmp_path / "p")
    call = in_thread(threads, lambda: reader.path.write_bytes(LARGE))
    call.add_done_callback(lambda _: reader.no_more_writers())
    got = b""
    while piece := await reader.read():
        got += piece

    assert got == LARGE
    reader.close()
    assert not reader.path.exists()


async def test_an_engine_that_never_opens_the_pipe_leaves_an_empty_result(tmp_path):
    reader = PipeReader(tmp_path / "p")
    reading = asyncio.create_task(reader.read())
    await turn()
    reader.no_more_writers()

    assert await asyncio.wait_for(reading, 5.0) == b""
    reader.close()


async def test_a_closed_reader_breaks_the_pipe_for_the_engine(tmp_path, threads):
    reader = PipeReader(tmp_path / "p")
    call = in_thread(threads, lambda: reader.path.write_bytes(LARGE))
    await reader.read()
    reader.close()

    with pytest.raises(BrokenPipeError):
        await call


async def test_what_is_written_gets_to_the_engine(tmp_path, threads):
    writer = PipeWriter(tmp_path / "p")
    call = in_thread(threads, writer.path.read_bytes)
    await writer.open(call, threads)
    assert await writer.write(LARGE)
    writer.close()

    assert await call == LARGE
    assert not writer.path.exists()


async def test_writing_to_an_engine_that_has_stopped_reading_says_so(tmp_path, threads):
    writer = PipeWriter(tmp_path / "p")

    def read_a_little():
        with writer.path.open("rb") as pipe:
            return pipe.read(10)

    await writer.open(in_thread(threads, read_a_little), threads)

    assert not await writer.write(LARGE)
    writer.close()


async def test_an_engine_that_fails_before_it_reads_does_not_hang_the_writer(tmp_path, threads):
    writer = PipeWriter(tmp_path / "p")
    await asyncio.wait_for(writer.open(in_thread(threads, lambda: None), threads), 5.0)

    assert writer.can_settle
    assert not await writer.write(b"x")
    writer.close()


async def test_an_opening_that_was_given_up_can_be_settled_later(tmp_path, threads):
    writer = PipeWriter(tmp_path / "p")
    call = asyncio.get_running_loop().create_future()
    opening = asyncio.create_task(writer.open(call, threads))
    await turn()
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    call.set_result(None)

    await asyncio.wait_for(writer.settle(), 5.0)
    assert writer.can_settle
    writer.close()
    assert not writer.path.exists()
