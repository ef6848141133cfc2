"""The store of keys holds hashes, forgets nothing, and changes only with a note of it."""

import sqlite3

import pytest

from policies.compiled import KeyRule
from policies.keys import digest, new_key
from policies.keystore import (
    FILE_NAME,
    Keystore,
    KeystoreError,
    StoredKey,
    StoredSecret,
    changes_of,
    rule_of,
    secrets_of,
)

PEPPER = bytes(range(32))


def secret(key, created_at_ns=1, expires_at_ns=None):
    return StoredSecret(
        digest=digest(key.encode(), PEPPER), hint=key[-4:], created_at_ns=created_at_ns, expires_at_ns=expires_at_ns
    )


def stored(name, key=None, **more):
    secrets = (secret(key or new_key()),)
    return StoredKey(**{"rule": KeyRule(name=name, team="search"), "created_at_ns": 1, "secrets": secrets} | more)


def noted():
    return None


def full():
    raise OSError(28, "No space left on device")


@pytest.fixture
def store(tmp_path):
    made = Keystore(tmp_path / FILE_NAME, PEPPER)
    yield made
    made.close()


def test_a_key_is_kept_as_it_was_made_and_nothing_of_its_secret_but_the_hash(store, tmp_path):
    key = new_key()
    one = stored("app", key, note="for the app")

    store.create([one], noted)

    assert store.all_keys() == (one,)
    assert key.encode() not in (tmp_path / FILE_NAME).read_bytes()
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_keys_are_made_all_or_none_and_a_name_stays_taken(store):
    store.create([stored("a")], noted)
    store.revoke("a", now_ns=5, noting=noted)

    with pytest.raises(KeystoreError, match="there is a key a already"):
        store.create([stored("b"), stored("a")], noted)

    assert [one.rule.name for one in store.all_keys()] == ["a"]


def test_one_secret_cannot_be_two_keys(store):
    key = new_key()
    store.create([stored("a", key)], noted)

    with pytest.raises(KeystoreError, match="this very secret"):
        store.create([stored("b", key)], noted)


def test_a_change_that_cannot_be_noted_is_not_made(store):
    store.create([stored("a")], noted)
    before = store.all_keys()

    for change in (
        lambda: store.create([stored("b")], full),
        lambda: store.revoke("a", now_ns=5, noting=full),
        lambda: store.rotate("a", secret(new_key()), until_ns=5, noting=full),
        lambda: store.merge([stored("c")], full),
    ):
        with pytest.raises(KeystoreError, match="No space left"):
            change()

    assert store.all_keys() == before


def test_a_rotated_key_has_both_secrets_until_the_grace_is_over(store):
    old, new = new_key(), new_key()
    store.create([stored("a", old)], noted)

    store.rotate("a", secret(new, 2), until_ns=100, noting=noted)
    store.rotate("a", secret("third" * 5, 3), until_ns=50, noting=noted)

    (key,) = store.all_keys()
    assert [(one.hint, one.expires_at_ns) for one in key.secrets] == [(old[-4:], 50), (new[-4:], 50), ("hird", None)]
    assert key.hints(49) == (old[-4:], new[-4:], "hird")
    assert key.hints(50) == ("hird",)


def test_a_revoked_key_is_known_for_one_and_works_no_more(store):
    key = new_key()
    store.create([stored("a", key)], noted)

    store.revoke("a", now_ns=7, noting=noted)

    (one,) = store.all_keys()
    assert rule_of(one).disabled
    assert rule_of(one).revoked
    assert one.hints(1) == ()
    assert [(found.name, found.expires_at_ns) for found in secrets_of([one])] == [("a", 7)]
    for change in (
        lambda: store.revoke("a", now_ns=8, noting=noted),
        lambda: store.rotate("a", secret(new_key()), until_ns=9, noting=noted),
    ):
        with pytest.raises(KeystoreError, match="was revoked"):
            change()
    with pytest.raises(KeystoreError, match="there is no key b"):
        store.revoke("b", now_ns=8, noting=noted)


def test_of_two_stores_an_end_stays_an_end(store):
    key = new_key()
    mine = stored("a", key)
    theirs = stored("a", key, rule=KeyRule(name="a", team="ads"))
    ended = StoredKey(rule=theirs.rule, created_at_ns=1, revoked_at_ns=9, secrets=(secret(key, expires_at_ns=9),))
    store.create([mine], noted)

    store.merge([theirs, stored("new")], noted)
    assert [(one.rule.name, one.rule.team) for one in store.all_keys()] == [("a", "ads"), ("new", "search")]
    store.merge([ended], noted)
    store.merge([theirs], noted)

    one = store.all_keys()[0]
    assert (one.revoked_at_ns, one.secrets[0].expires_at_ns) == (9, 9)
    store.merge([ended], noted)
    assert store.all_keys()[0] == one


def test_keys_of_another_pepper_are_told_instead_of_unknown(store, tmp_path):
    with pytest.raises(KeystoreError, match="another pepper"):
        Keystore(tmp_path / FILE_NAME, bytes(32))


def test_what_is_no_store_is_told(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 100)

    with pytest.raises(KeystoreError, match="cannot be used"):
        Keystore(tmp_path / FILE_NAME, PEPPER)


def test_a_damaged_row_is_told(store, tmp_path):
    store.create([stored("a")], noted)
    other = sqlite3.connect(tmp_path / FILE_NAME)
    other.execute("UPDATE keys SET rule = '{'")
    other.commit()
    other.close()

    with pytest.raises(KeystoreError, match="cannot be used"):
        store.all_keys()


def test_every_change_shows_in_the_header_and_reading_does_not(store, tmp_path):
    path = tmp_path / FILE_NAME
    seen = [changes_of(path)]
    store.create([stored("a")], noted)
    seen.append(changes_of(path))
    Keystore(path, PEPPER).close()
    store.all_keys()
    assert changes_of(path) == seen[-1]
    store.revoke("a", now_ns=1, noting=noted)
    seen.append(changes_of(path))

    assert len(set(seen)) == 3
