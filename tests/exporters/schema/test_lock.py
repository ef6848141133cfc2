import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from exporters.schema.errors import SchemaError
from exporters.schema.lock import LOCK_TABLE, MigrationLock
from exporters.schema.migrate import ensure_database
from tests.fakes.embedded_store import embedded_store

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def client(store, request):
    database = f"test {abs(hash(request.node.name))}"
    bare = store.client("default")
    ensure_database(bare, database)
    bare.close()
    client = store.client(database)
    client.command(LOCK_TABLE)
    yield client
    client.close()


def events(client):
    return [row[0] for row in client.query("SELECT event FROM schema_lock ORDER BY generation, at").result_rows]


def test_it_is_taken_and_freed(client):
    for _ in range(2):
        with MigrationLock(client) as lock:
            lock.confirm()
    assert events(client) == ["taken", "freed", "taken", "freed"]


def test_whoever_comes_second_is_told_who_is_at_work(client):
    with (
        MigrationLock(client),
        pytest.raises(SchemaError, match=r"Another Taximeter \(.+:\d+:.+\) is at work"),
        MigrationLock(client, wait_s=0),
    ):
        pytest.fail("two hold the lock")


def test_of_many_at_once_one_after_the_other_holds_it(client, store):
    clients = [store.client(client.database) for _ in range(5)]
    together = Barrier(5)
    holders = []

    def hold(one):
        together.wait()
        with MigrationLock(one, wait_s=60) as lock:
            holders.append("in")
            lock.confirm()
            # Whoever else was in here would stand between.
            holders.append("out")

    with ThreadPoolExecutor(5) as threads:
        list(threads.map(hold, clients))
    assert holders == ["in", "out"] * 5
    for one in clients:
        one.close()


def test_a_dead_holder_is_followed_and_notices_it_when_it_wakes_up(client):
    with MigrationLock(client) as frozen:
        with MigrationLock(client, wait_s=10, lease_s=0.001) as heir:
            heir.confirm()
            with pytest.raises(SchemaError, match="has taken over"):
                frozen.confirm()
        with pytest.raises(SchemaError, match="has taken over"):
            frozen.confirm()


def test_a_mistake_inside_frees_it(client):
    with pytest.raises(ZeroDivisionError), MigrationLock(client):
        raise ZeroDivisionError
    with MigrationLock(client, wait_s=0):
        assert events(client)[-1] == "taken"


def test_a_holder_of_this_machine_that_was_killed_blocks_nobody(client):
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    killed = MigrationLock(client)
    killed._owner = f"{socket.gethostname()}:{int(done.stdout)}:0badf00d"
    assert killed._took()

    with MigrationLock(client, wait_s=0) as heir:
        heir.confirm()


def test_a_holder_of_another_machine_is_not_judged_by_our_processes(client):
    other = MigrationLock(client)
    other._owner = "elsewhere.invalid:1:0badf00d"
    assert other._took()

    with pytest.raises(SchemaError, match="elsewhere"), MigrationLock(client, wait_s=0):
        pytest.fail("two hold the lock")
