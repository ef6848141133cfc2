"""One real worker for all tests of a module, and a provider behind it that is another one in every test."""

import socket
from contextlib import asynccontextmanager

import pytest

from tests.fakes.raw_upstream import raw_upstream
from tests.fakes.settings import provider
from tests.fakes.until import until
from tests.fakes.worker_process import worker_process


async def _hangs_up(_conversation):
    """Answers nobody."""


@pytest.fixture(scope="module")
def listening():
    """Where the provider of the tests listens."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
        yield server


@pytest.fixture(scope="module")
def worker(request, listening, tmp_path_factory):
    """A worker for the providers `p`, `openai` and, below a path, `deep`; a module's LIMITS are fields of theirs."""
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    limits = getattr(request.module, "LIMITS", {})
    providers = [provider(name, url, **limits) for name in ("p", "openai")]
    providers.append(provider("deep", f"{url}/tenants/a", **limits))
    with worker_process(tmp_path_factory.mktemp("worker"), *providers) as running:
        yield running


@pytest.fixture
def upstream_that(worker, listening):
    """`upstream_that(play)`: the provider for the length of a block, after which no connection may be left."""

    @asynccontextmanager
    async def upstream_that(play):
        async with raw_upstream(play, listening) as upstream:
            yield upstream
        # A connection that the worker keeps and that nobody accepted yet is no leak: it is accepted now, and closed.
        async with raw_upstream(_hangs_up, listening):
            await until(lambda: worker.sockets <= worker.idle_sockets)

    return upstream_that
