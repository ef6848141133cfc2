"""`taximeter keys`: a key is shown once, and every change of one is noted."""

import json

import pytest
from typer.testing import CliRunner

from policies import audit
from policies.keys import digest
from policies.keystore import FILE_NAME, Keystore
from proxy.cli import app

CONFIG = "providers: {openai: {api_key: env:KEY}}\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAXIMETER_CONFIG", raising=False)
    monkeypatch.delenv("KEY", raising=False)  # it is there where Taximeter runs, and need not be here
    (tmp_path / "taximeter.yaml").write_text(CONFIG)

    def run(*arguments, stdin=None):
        return CliRunner().invoke(app, ["keys", *arguments], input=stdin)

    return run


def made(run, *arguments):
    result = run("create", *arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def listed(run):
    return {row["name"]: row for row in json.loads(run("list", "--format", "json").stdout)}


def kept(tmp_path):
    pepper = bytes.fromhex((tmp_path / "data/keys.pepper").read_text())
    store = Keystore(tmp_path / "data" / FILE_NAME, pepper)
    try:
        return pepper, store.all_keys()
    finally:
        store.close()


def test_a_key_is_shown_once_with_a_line_to_paste_and_what_is_kept_is_its_hash(run, tmp_path):
    result = run(
        "create", "search-app", "--team", "search", "--tag", "env=prod", "--model", "GPT-*", "--expires", "90d"
    )
    key = next(word for word in result.stdout.split() if word.startswith("tm-"))
    pepper, (stored,) = kept(tmp_path)

    assert result.exit_code == 0
    assert f"export OPENAI_API_KEY={key} OPENAI_BASE_URL=http://127.0.0.1:8484/openai/v1" in result.stdout
    assert stored.secrets[0].digest == digest(key.encode(), pepper)
    assert (stored.rule.team, stored.rule.tags, stored.rule.models) == ("search", {"env": "prod"}, ("gpt-*",))
    for path in (tmp_path / "data").rglob("*"):
        assert path.is_dir() or key.encode() not in path.read_bytes()
    assert key not in run("list").stdout


def test_the_first_key_says_what_it_changes_for_others(run):
    assert "your own key is used for virtual keys alone" in run("create", "a").stderr
    assert run("create", "b").stderr == ""


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("keys: {mode: passthrough}\n" + CONFIG, "keys.mode is passthrough"),
        ("workers: 1\n", "No provider has a key of yours yet"),
    ],
)
def test_what_keeps_a_key_from_working_is_said(run, tmp_path, config, said):
    (tmp_path / "taximeter.yaml").write_text(config)

    assert said in run("create", "a").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a b"], "letters, digits"),
        (["a", "--expires", "soon"], "expires"),
        (["a", "--tag", "env"], "a=b,c=d"),
        (["a", "--provider", "opnai"], "did you mean openai"),
    ],
)
def test_a_mistake_makes_no_key(run, arguments, said):
    result = run("create", *arguments)

    assert result.exit_code == 1
    assert said in result.stderr
    assert listed(run) == {}


def test_a_list_shows_states_and_hints_and_no_hash(run):
    key = made(run, "live")["key"]
    made(run, "dead")
    run("revoke", "dead")

    rows = listed(run)
    assert (rows["live"]["state"], rows["live"]["hints"]) == ("good", [f"tm-...{key[-4:]}"])
    assert (rows["dead"]["state"], rows["dead"]["hints"]) == ("revoked", [])
    assert "digest" not in run("list", "--format", "json").stdout


def test_rotating_shows_a_new_key_and_says_until_when_the_old_one_works(run):
    old = made(run, "a")["key"]
    result = run("rotate", "a", "--grace", "1h", "--format", "json")
    new = json.loads(result.stdout)["key"]

    assert old != new
    assert "The old one works until" in result.stderr
    assert listed(run)["a"]["hints"] == [f"tm-...{old[-4:]}", f"tm-...{new[-4:]}"]
    assert run("rotate", "a", "--grace", "soon").exit_code == 1
    run("rotate", "a", "--grace", "0h")
    assert len(listed(run)["a"]["hints"]) == 1


@pytest.mark.parametrize("arguments", [("revoke", "nobody"), ("rotate", "nobody")])
def test_what_is_not_there_cannot_be_changed(run, arguments):
    result = run(*arguments)

    assert result.exit_code == 1
    assert "there is no key nobody" in result.stderr


def test_a_file_makes_all_its_keys_or_none(run, tmp_path):
    file = tmp_path / "teams.csv"
    file.write_text("name,team,key\na,ads,\nb,search,sk-of-the-former-gateway\n")
    shown = json.loads(run("import", str(file), "--format", "json").stdout)

    assert [(one["name"], bool(one["key"])) for one in shown] == [("a", True), ("b", False)]
    assert listed(run)["b"]["hints"] == ["...eway"]
    file.write_text("name,tem\nc,ads\nd d,x\n")
    result = run("import", str(file))
    assert result.exit_code == 1
    assert f"{file}: key 1: there is no column tem" in result.stderr
    assert f"{file}: key 2:" in result.stderr
    assert set(listed(run)) == {"a", "b"}


def test_an_export_is_taken_over_by_a_machine_of_the_same_pepper_alone(run, tmp_path):
    made(run, "a")
    exported = run("export").stdout

    other = run("import", "-", "--data-dir", str(tmp_path / "other"), stdin=exported)
    assert other.exit_code == 1
    assert "another pepper" in other.stderr
    (tmp_path / "same").mkdir()
    (tmp_path / "same/keys.pepper").write_bytes((tmp_path / "data/keys.pepper").read_bytes())
    assert run("import", "-", "--data-dir", str(tmp_path / "same"), stdin=exported).exit_code == 0
    assert run("export", "--data-dir", str(tmp_path / "same")).stdout == exported


def test_every_change_is_in_the_audit_log_and_nothing_of_a_key_but_its_end(run, tmp_path):
    key = made(run, "a", "--team", "search")["key"]
    run("rotate", "a")
    run("revoke", "a")

    log = audit.entries(tmp_path / "data")
    assert [one.action for one in log] == ["key.create", "key.rotate", "key.revoke"]
    assert {one.subject for one in log} == {"a"}
    assert all(one.by for one in log)
    assert (log[0].detail["team"], log[0].detail["secret"]) == ("search", f"tm-...{key[-4:]}")


def test_a_change_that_cannot_be_noted_is_not_made(run, tmp_path):
    made(run, "a")
    (tmp_path / "data/audit.jsonl").unlink()
    (tmp_path / "data/audit.jsonl").mkdir()

    assert run("revoke", "a").exit_code == 1
    assert listed(run)["a"]["state"] == "good"


def test_keys_of_a_pepper_that_is_lost_are_told(run, tmp_path):
    made(run, "a")
    (tmp_path / "data/keys.pepper").unlink()

    result = run("list")
    assert result.exit_code == 1
    assert "another pepper" in result.stderr
