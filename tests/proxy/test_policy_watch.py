"""What changes is put in force; what is wrong is told, and changes nothing."""

import asyncio
import os

import msgspec
import pytest

from policies import audit
from policies.compiled import KeyRule, from_json
from policies.key_files import make
from policies.keystore import FILE_NAME, Keystore
from proxy import policy_watch
from proxy.policy_state import STATE_NAME, policies_file, policy_state
from proxy.policy_watch import PoliciesError, PolicyWatch
from proxy.settings import Listen, Settings, StoreSettings

PEPPER = "cd" * 32
CAP = "version: 1\nbudgets:\n  team: {{match: {{team: search}}, limit: {} USD, window: month}}\n"
LIMIT = "version: 1\nlimits:\n  pace: {limit: 5 calls, every: minute}\n"


@pytest.fixture
def settings(tmp_path):
    made = Settings(
        listen=Listen("127.0.0.1", 0), admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:1", user="", password=""), data_dir=tmp_path / "data", workers=1,
        providers=(), key_pepper=PEPPER, policy_files=(str(tmp_path / "policies/*.yaml"),),
    )  # fmt: skip
    made.run_dir.mkdir(parents=True)
    (tmp_path / "policies").mkdir()
    return made


@pytest.fixture
def file(tmp_path):
    return tmp_path / "policies/teams.yaml"


class Told:
    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1


def started(settings, told=None):
    watch = PolicyWatch(settings, told or Told())
    watch.start()
    return watch


def in_force(settings):
    return from_json(policies_file(settings).read_bytes())


def limits(settings):
    return [budget.limit // 10**9 for budget in in_force(settings).budgets]


def look(watch, times=2):
    """Two looks: one that sees a change, and one that finds it at rest."""
    for _ in range(times):
        watch.look()


def stored(name, **more):
    return make({"name": name} | more, bytes.fromhex(PEPPER), 1).stored


def change_keys(settings, change):
    store = Keystore(settings.data_dir / FILE_NAME, bytes.fromhex(PEPPER))
    change(store)
    store.close()


def test_what_is_there_at_the_start_is_in_force_before_anybody_serves(settings, file):
    file.write_text(CAP.format(5))

    started(settings)

    state = policy_state(settings)
    assert limits(settings) == [5]
    assert (state.generation, state.budgets, state.error, state.files) == (1, 1, "", (str(file),))
    assert in_force(settings).generation == 1


def test_a_start_on_mistakes_fails_with_all_of_them(settings, file):
    file.write_text("version: 1\nbudgets:\n  a: {limit: 5 USF}\n  b: {limt: 5}\n")

    with pytest.raises(PoliciesError) as error:
        started(settings)

    assert f"{file}:3" in str(error.value)
    assert f"{file}:4" in str(error.value)


def test_a_changed_file_is_taken_once_it_is_at_rest(settings, file):
    told = Told()
    file.write_text(CAP.format(5))
    watch = started(settings, told)
    file.write_text(CAP.format(6))

    watch.look()
    assert (limits(settings), told.count) == ([5], 0)
    watch.look()
    assert (limits(settings), told.count) == ([6], 1)
    look(watch)
    assert told.count == 1
    assert policy_state(settings).generation == 2


def test_half_a_file_that_would_do_is_not_taken_while_it_is_being_written(settings, file):
    text = CAP.format(5) + "  user: {per: user, limit: 1 USD, window: day}\n"
    file.write_text(text)
    watch = started(settings)

    for half in (CAP.format(5), CAP.format(5) + "  # more to come\n", text):
        file.write_text(half)
        watch.look()
        assert len(in_force(settings).budgets) == 2


def test_a_file_with_a_mistake_keeps_what_was_in_force_and_says_so_until_it_is_mended(settings, file):
    told = Told()
    file.write_text(CAP.format(5))
    watch = started(settings, told)

    file.write_text(CAP.format("five"))
    look(watch, 4)
    assert (limits(settings), told.count) == ([5], 0)
    assert f"{file}:3" in policy_state(settings).error
    file.write_text(CAP.format(5))
    look(watch)
    assert (limits(settings), told.count) == ([5], 0)
    assert policy_state(settings).error == ""


def test_a_mistake_is_said_once(settings, file, monkeypatch):
    said = []
    watch = started(settings)
    monkeypatch.setattr(watch._log, "error", lambda event, **_: said.append(event), raising=False)
    file.write_text("budgets: [")

    look(watch, 6)

    assert len(said) == 1


def test_a_key_is_revoked_whatever_mistakes_a_policy_file_has(settings, file):
    told = Told()
    change_keys(settings, lambda store: store.create([stored("app")], lambda: None))
    watch = started(settings, told)
    file.write_text("nonsense: [")
    look(watch)
    change_keys(settings, lambda store: store.revoke("app", now_ns=2, noting=lambda: None))

    watch.look()

    assert in_force(settings).keys["app"].revoked
    assert told.count == 1
    assert policy_state(settings).keys == 0
    assert "not valid YAML" in policy_state(settings).error


def test_a_new_key_is_there_at_the_next_look(settings):
    watch = started(settings)
    change_keys(settings, lambda store: store.create([stored("app", team="search")], lambda: None))

    watch.look()

    policies = in_force(settings)
    assert policies.keys == {"app": KeyRule(name="app", team="search")}
    assert [secret.name for secret in policies.secrets] == ["app"]


def test_what_a_policy_file_says_of_a_key_wins_field_by_field_and_revives_none(settings, file):
    file.write_text("version: 1\nkeys:\n  app: {team: ads, models: [m]}\n  gone: {disabled: false}\n")
    change_keys(
        settings, lambda store: store.create([stored("app", team="x", user="jo"), stored("gone")], lambda: None)
    )
    change_keys(settings, lambda store: store.revoke("gone", now_ns=2, noting=lambda: None))
    started(settings)

    keys = in_force(settings).keys
    assert keys["app"] == KeyRule(name="app", team="ads", user="jo", models=("m",))
    assert keys["gone"].revoked


def test_a_store_of_keys_that_goes_away_takes_no_key_with_it(settings):
    change_keys(settings, lambda store: store.create([stored("app")], lambda: None))
    watch = started(settings)
    (settings.data_dir / FILE_NAME).unlink()

    look(watch)

    assert "app" in in_force(settings).keys
    assert "is gone" in policy_state(settings).error


def test_a_store_of_keys_with_another_pepper_ends_a_start(settings):
    change_keys(settings, lambda store: store.create([stored("app")], lambda: None))

    with pytest.raises(PoliciesError, match="another pepper"):
        started(msgspec.structs.replace(settings, key_pepper="00" * 32))


def test_a_deleted_file_takes_its_rules_with_it_and_a_folder_that_is_gone_takes_none(settings, file):
    more = file.with_name("pace.yaml")
    file.write_text(CAP.format(5))
    more.write_text(LIMIT)
    watch = started(settings)

    more.unlink()
    look(watch)
    assert (limits(settings), in_force(settings).limits) == ([5], ())
    file.parent.rename(file.parent.with_name("elsewhere"))
    look(watch)
    assert limits(settings) == [5]
    assert "the folder is gone" in policy_state(settings).error
    file.parent.with_name("elsewhere").rename(file.parent)
    look(watch)
    assert policy_state(settings).error == ""


def test_a_signal_reads_anew_what_looks_unchanged(settings, file):
    file.write_text(CAP.format(5))
    watch = started(settings)
    stat = file.stat()
    file.write_text(CAP.format(6))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    watch.look_again()
    watch.look()

    assert limits(settings) == [6]


def test_what_cannot_be_left_for_the_workers_is_tried_again(settings, file):
    told = Told()
    watch = started(settings, told)
    policies_file(settings).unlink()
    policies_file(settings).mkdir()
    file.write_text(CAP.format(5))
    look(watch)
    assert told.count == 0
    assert policy_state(settings).error
    policies_file(settings).rmdir()

    watch.look()

    assert (limits(settings), told.count, policy_state(settings).error) == ([5], 1, "")


def test_generations_go_on_over_starts_and_count_changes_alone(settings, file):
    file.write_text(CAP.format(5))
    started(settings)
    started(settings)
    assert policy_state(settings).generation == 1
    file.write_text(CAP.format(6))
    started(settings)

    assert policy_state(settings).generation == 2
    assert [one.detail["generation"] for one in audit.entries(settings.data_dir)] == ["1", "2"]


def test_a_load_that_cannot_be_noted_is_in_force_all_the_same(settings, file):
    (settings.data_dir / audit.FILE_NAME).mkdir()
    file.write_text(CAP.format(5))

    started(settings)

    assert limits(settings) == [5]


async def test_a_look_that_fails_unforeseen_is_not_the_last(settings, monkeypatch):
    monkeypatch.setattr(policy_watch, "LOOK_S", 0.0)
    watch, looks, done = PolicyWatch(settings, Told()), [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def fail():
        looks.append(1)
        if len(looks) > 2:
            loop.call_soon_threadsafe(done.set)
        raise RuntimeError("a bug")

    monkeypatch.setattr(watch, "look", fail)
    running = asyncio.create_task(watch.run())
    async with asyncio.timeout(10):
        await done.wait()
    running.cancel()


def test_a_state_that_cannot_be_read_is_none(settings):
    (settings.run_dir / STATE_NAME).write_bytes(b"{")

    assert policy_state(settings) is None
