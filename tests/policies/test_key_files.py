"""What can be imported, what every mistake is called, and what an export holds."""

import pytest

from policies.compiled import KeyRule
from policies.key_files import (
    KeyFileError,
    expiry_ns,
    export,
    key_name,
    make,
    make_all,
    read_export,
    read_rows,
    span_ns,
)
from policies.keys import digest, is_virtual

PEPPER = bytes(range(32))
NOW_NS = 1_795_000_000 * 10**9
DAY_NS = 86_400 * 10**9
RULE = KeyRule(
    name="a", team="search", tags={"env": "prod", "x": "1"}, models=("gpt-*", "o3"), expires_at_ns=NOW_NS + 90 * DAY_NS
)
FILES = {
    ".csv": 'name,team,tags,models,expires\na,search,"env=prod,x=1",GPT-* o3,90d\n',
    ".json": '[{"name":"a","team":"search","tags":{"env":"prod","x":1},"models":["GPT-*","o3"],"expires":"90d"}]',
    ".yaml": "a: {team: search, tags: {env: prod, x: 1}, models: [GPT-*, o3], expires: 90d}\n",
}


@pytest.mark.parametrize("suffix", FILES)
def test_the_same_key_can_be_written_in_every_form(suffix):
    (made,) = make_all(read_rows(FILES[suffix], suffix), PEPPER, NOW_NS)

    assert made.stored.rule == RULE
    assert is_virtual(made.key.encode())
    assert made.stored.secrets[0].digest == digest(made.key.encode(), PEPPER)


def test_a_secret_that_apps_have_is_taken_over_and_not_shown_again():
    made = make({"name": "a", "key": "sk-former-0123456789abc"}, PEPPER, NOW_NS)

    assert made.key == ""
    assert made.stored.secrets[0].digest == digest(b"sk-former-0123456789abc", PEPPER)
    assert made.stored.secrets[0].hint == "...9abc"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "needs a name"),
        ({"name": "a b"}, "name must be a name of letters"),
        ({"name": "k_1"}, "must not begin with k_"),
        ({"name": "a", "taem": "x"}, "no column taem"),
        ({"name": "a", "key": "short"}, "key must be 20 to 256 characters"),
        ({"name": "a", "key": "with a blank 0123456789"}, "key must be 20 to 256 characters"),
        ({"name": "a", "tags": "env"}, "tags must be written as"),
        ({"name": "a", "team": "x\ny"}, "team must be at most 256 characters"),
        ({"name": "a", "expires": "yesterday"}, "expires "),
        ({"name": "a", "expires": "2020-01-01"}, "expires lies in the past"),
        ({"name": "a", "too many": ["x"]}, "no column too many"),
    ],
)
def test_every_mistake_of_a_row_is_said(row, said):
    with pytest.raises(ValueError, match=said):
        make(row, PEPPER, NOW_NS)


def test_all_mistakes_of_a_file_are_said_at_once_and_a_name_stands_once():
    rows = [{"name": "a"}, {"name": "!"}, {"name": "a"}]

    with pytest.raises(KeyFileError) as error:
        make_all(rows, PEPPER, NOW_NS)

    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["key 2", "key 3"]


@pytest.mark.parametrize(
    ("text", "suffix", "said"),
    [
        ("[", ".json", "not valid JSON"),
        ("a: [", ".yaml", "not valid YAML"),
        ("5", ".json", "must be a list"),
        ("[1]", ".json", "must be a list"),
        ('name\n"a', ".csv", "not valid CSV"),
    ],
)
def test_what_is_no_list_of_keys_is_told(text, suffix, said):
    with pytest.raises(KeyFileError, match=said):
        read_rows(text, suffix)


def test_an_export_brings_the_keys_to_another_machine_of_the_same_pepper():
    keys = tuple(one.stored for one in make_all([{"name": "a", "note": "n"}, {"name": "b"}], PEPPER, NOW_NS))
    text = export(keys, PEPPER).decode()

    assert read_export(text, PEPPER) == keys
    with pytest.raises(KeyFileError, match="another pepper"):
        read_export(text, bytes(32))


@pytest.mark.parametrize("text", ["", "[]", "{}", "name\na\n", '[{"name":"a"}]'])
def test_any_other_file_is_no_export(text):
    assert read_export(text, PEPPER) is None


@pytest.mark.parametrize("text", ['{"taximeter_keys":2}', '{"taximeter_keys":1,"keys":5}'])
def test_an_export_that_cannot_be_read_is_told(text):
    with pytest.raises(KeyFileError):
        read_export(text, PEPPER)


def test_a_span_or_a_day_says_when_a_key_ends():
    assert expiry_ns("2w", NOW_NS) == NOW_NS + 14 * DAY_NS
    assert expiry_ns("2030-01-01", NOW_NS) == 1_893_456_000 * 10**9
    assert span_ns("0h") == 0
    with pytest.raises(ValueError, match="span"):
        span_ns("-1h")


def test_a_name_that_is_a_number_is_one():
    assert key_name(7) == "7"
