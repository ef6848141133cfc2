"""Two real stores, started once; each test has two databases of its own in them."""

import itertools

import msgspec
import pytest

from exporters.moving.end import End
from tests.fakes.embedded_store import EmbeddedStore
from tests.fakes.filled_store import ready_store

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    stores = [EmbeddedStore(tmp_path_factory.mktemp(name)) for name in ("source", "target")]
    for store in stores:
        store.start()
    yield stores
    for store in stores:
        store.stop()


class Side:
    """A database with our tables, its connection, and itself as an end of a copy."""

    def __init__(self, server, database):
        store = msgspec.structs.replace(server.settings.store, database=database)
        self.server, self.database = server, database
        self.settings = msgspec.structs.replace(server.settings, store=store)
        bare = server.client("default")
        bare.command(f"CREATE DATABASE {database}")
        bare.close()
        self.client = server.client(database)
        kept, server.settings = server.settings, self.settings
        ready_store(server).close()
        server.settings = kept
        self.end = End(self.client, database, database)

    def drop(self):
        self.client.command(f"DROP DATABASE {self.database} SYNC")
        self.client.close()


@pytest.fixture
def sides(servers):
    number = next(_NUMBERS)
    here, there = Side(servers[0], f"here_{number}"), Side(servers[1], f"there_{number}")
    yield here, there
    here.drop()
    there.drop()
