"""A virtual key is random, is kept as a keyed hash, and is found by nothing but itself."""

import pytest

from policies.keys import PREFIX, KeyRing, KeySecret, digest, hint, is_virtual, new_key, new_pepper, pepper_check

PEPPER = bytes.fromhex(new_pepper())


def ring(key, mode="both", **more):
    return KeyRing([KeySecret(digest=digest(key.encode(), PEPPER), name="app", **more)], PEPPER, mode)


def test_a_key_is_found_by_itself_and_by_nothing_like_it():
    key = new_key()
    keys = ring(key)

    assert keys.find(key.encode()).name == "app"
    for other in (key[:-1], key + "x", key.upper(), new_key(), "", "tm-", "x" * 10_000):
        assert keys.find(other.encode()) is None


def test_no_two_keys_are_alike_and_each_has_its_prefix():
    keys = {new_key() for _ in range(100)}

    assert len(keys) == 100
    assert all(is_virtual(key.encode()) and len(key) == len(PREFIX) + 40 for key in keys)


def test_without_the_pepper_a_hash_says_nothing():
    key = new_key()

    assert digest(key.encode(), PEPPER) != digest(key.encode(), bytes(32))


def test_a_secret_that_is_over_is_still_known_for_one_of_ours():
    key = new_key()

    assert ring(key, expires_at_ns=100).find(key.encode()).expires_at_ns == 100


@pytest.mark.parametrize(
    ("mode", "made", "in_use"),
    [("both", True, True), ("both", False, False), ("virtual", False, True), ("passthrough", True, False)],
)
def test_keys_are_in_use_once_there_is_one_or_nothing_else_is_taken(mode, made, in_use):
    secrets = [KeySecret(digest="d", name="app")] if made else []

    assert KeyRing(secrets, PEPPER, mode).in_use is in_use


def test_a_pepper_is_told_from_another_without_being_shown():
    assert pepper_check(PEPPER) == pepper_check(PEPPER) != pepper_check(bytes(32))
    assert PEPPER.hex() not in pepper_check(PEPPER)


def test_a_hint_shows_no_more_than_the_end():
    assert hint("tm-" + "a" * 36 + "x7Qp") == "tm-...x7Qp"
    assert hint("sk-imported-x7Qp") == "...x7Qp"


@pytest.mark.parametrize(
    ("credential", "virtual"), [(b"tm-abc", True), (b"sk-abc", False), (b"", False), (None, False)]
)
def test_a_virtual_key_is_told_by_its_prefix(credential, virtual):
    assert is_virtual(credential) is virtual
