"""Whole copies between two stores, with kill -9 of either side and of the copy itself.

TAXIMETER_COPY_ROUNDS makes the last test longer, TAXIMETER_KILL_SEED another one.
"""

import os
import random
import sys
import threading
from datetime import date

import msgspec
import pytest

from exporters.moving.copying import Wish, copy_store
from exporters.moving.errors import CopyError
from exporters.store.folder import Folder, FolderLock
from proxy.config.credentials import make_private_dirs
from proxy.runlock import supervisor_lock
from proxy.runstate import RunState, write_state
from tests.fakes.copying import outcome, start_copying
from tests.fakes.embedded_store import EmbeddedStore
from tests.fakes.filled_store import counted, fill, ready_store

ROUNDS = int(os.environ.get("TAXIMETER_COPY_ROUNDS", "6"))
SEED = int(os.environ.get("TAXIMETER_KILL_SEED", "7"))

pytestmark = [pytest.mark.real, pytest.mark.timeout(200 + 30 * ROUNDS)]


@pytest.fixture
def stores(tmp_path):
    """A source with calls, and a target with nothing, each on a folder of its own."""
    pair = [EmbeddedStore(tmp_path / name) for name in ("source", "target")]
    for store in pair:
        store.start()
    client = ready_store(pair[0])
    fill(client, "a", 900)
    client.close()
    yield pair
    for store in pair:
        store.stop()


@pytest.fixture
def supervised(stores):
    """As if the source were a supervisor's: whoever finds it away knows that it comes back."""
    settings = stores[0].settings
    make_private_dirs(settings)
    with supervisor_lock(settings.run_dir):
        state = RunState(
            pid=os.getpid(),
            version="1",
            started_at_s=0,
            config_file=None,
            listen=settings.listen,
            admin=settings.admin,
            store_url=settings.store.url,
            processes=[{"role": "store", "state": "ready"}],
        )
        write_state(settings, state)
        yield stores


def copy(stores, **more):
    wish = Wish(target=stores[1].settings.store, **{"patience_s": 20.0, **more})
    return copy_store(stores[0].settings, wish, lambda _: None)


def everything(store):
    client = store.client()
    found = counted(client)
    client.close()
    return found


def test_an_empty_server_gets_the_tables_and_everything_in_them(stores):
    result = copy(stores)
    assert result.good
    assert result.sent_rows == 1800
    assert everything(stores[1]) == (900,) * 4
    assert {day.verdict for day in result.days} == {"same"}
    assert copy(stores).sent_rows == 0


def test_a_second_run_brings_what_came_since_though_the_target_takes_rows_itself(stores):
    copy(stores)
    for store, token, calls in ((stores[0], "b", 60), (stores[1], "c", 40)):
        client = store.client()
        fill(client, token, calls)
        client.close()
    result = copy(stores)
    assert (result.good, result.sent_rows) == (True, 120)
    assert everything(stores[1]) == (1000,) * 4
    assert "more" in {day.verdict for day in result.days}


def test_after_the_switch_the_store_that_runs_no_more_is_opened_for_the_copy(stores):
    source = stores[0]
    source.stop()
    elsewhere = msgspec.structs.replace(stores[1].settings.store, embedded=False)
    settings = msgspec.structs.replace(source.settings, store=elsewhere)
    result = copy_store(settings, Wish(target=elsewhere), lambda _: None)
    assert (result.good, result.sent_rows) == (True, 1800)
    FolderLock(Folder(source.settings.store_dir)).release()  # it has been closed again


def test_days_can_be_chosen(stores):
    result = copy(stores, since=date(2026, 11, 21), until=date(2026, 11, 22))
    assert {day.day for day in result.days} == {date(2026, 11, 21)}
    assert everything(stores[1]) == (300,) * 4


def test_progress_says_how_far_it_is(stores):
    steps = []
    wish = Wish(target=stores[1].settings.store)
    copy_store(stores[0].settings, wish, lambda step: steps.append((step.doing, step.rows, step.all_rows)))
    assert steps[-1][1:] == (1800, 1800)
    assert any(doing.startswith("copy calls") for doing, _, _ in steps)
    assert any(doing.startswith("check calls") for doing, _, _ in steps)


def test_a_target_that_is_not_there_or_refuses_is_told_in_a_sentence(stores):
    stores[1].stop()
    with pytest.raises(CopyError, match="cannot be made ready"):
        copy(stores, patience_s=0.3)
    stores[1].start()
    wrong = msgspec.structs.replace(stores[1].settings.store, password="wrong")
    with pytest.raises(CopyError, match=r"cannot be made ready: .*Authentication failed"):
        copy_store(stores[0].settings, Wish(target=wrong), lambda _: None)


def test_the_embedded_store_is_not_copied_into_itself(stores):
    with pytest.raises(CopyError, match="is the embedded store itself"):
        copy([stores[0], stores[0]])


def test_without_a_store_there_is_nothing_to_copy(stores, tmp_path):
    with pytest.raises(CopyError, match="holds no store"):
        copy([EmbeddedStore(tmp_path / "never"), stores[1]])


def test_one_copy_at_a_time(stores):
    run_dir = stores[0].settings.run_dir
    lock = FolderLock(Folder(run_dir / "store-copy"))
    with pytest.raises(CopyError, match="another copy"):
        copy(stores)
    lock.release()


def test_an_end_that_stays_away_is_given_up_and_the_next_run_goes_on(stores):
    killed = []

    def tell(step):
        if step.sent_rows and not killed:
            killed.append(step.sent_rows)
            stores[1].kill()

    wish = Wish(target=stores[1].settings.store, patience_s=0.5)
    with pytest.raises(CopyError, match="run it again, and it goes on from there"):
        copy_store(stores[0].settings, wish, tell)
    stores[1].start()
    result = copy(stores)
    assert result.good
    assert result.sent_rows <= 1800 - killed[0]
    assert everything(stores[1]) == (900,) * 4


def test_kill_9_of_either_side_and_of_the_copy_at_any_moment_doubles_nothing(supervised):
    dice, source, target = random.Random(SEED), *supervised
    expected, victims = 900, []
    for number in range(ROUNDS):
        client = source.client()
        fill(client, f"round-{number}", 900, days=4)
        client.close()
        expected += 900
        process = start_copying(source.settings, target.settings)
        victim = dice.choice(["source", "target", "copy", "both", "nobody"])
        victims.append(victim)
        wait_for(process, dice)
        if victim == "copy":
            process.kill()
            process.wait()
            process.stdout.close()
            continue
        for store, names in ((source, {"source", "both"}), (target, {"target", "both"})):
            if victim in names:
                store.kill()
                store.start()
        result = outcome(process)
        assert result.good, [day for day in (*result.days, *result.rollups) if day.problems]
        assert everything(target) == (expected,) * 4
    result = outcome(start_copying(source.settings, target.settings))
    assert result.good, [day for day in (*result.days, *result.rollups) if day.problems]
    assert everything(target) == (expected,) * 4
    assert everything(source) == (expected,) * 4
    sys.stdout.write(f"{victims}\n")


def wait_for(process, dice):
    """Until it has brought some pieces, then for a moment more that nobody can foresee."""
    for _ in range(dice.randint(0, 4)):
        if process.stdout.readline() != b"moved\n":
            break
    threading.Event().wait(dice.random() * 0.15)
