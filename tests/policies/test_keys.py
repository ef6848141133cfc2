"""A virtual key is random, is kept as a keyed hash, and is found by nothing but itself."""

import pytest

from policies.keys import PREFIX, KeyRing, KeySecret, digest, hint, is_virtual, new_key, new_pepper

PEPPER = bytes.fromhex(new_pepper())


def ring(key, mode="both", **more):
    return KeyRing([KeySecret(digest=digest(key.encode(), PEPPER), name="app", **more)], PEPPER, mode)


def test_a_key_is_found_by_itself_and_by_nothing_like_it():
    key = new_key()
    keys = ring(key)

    assert keys.find(key.encode(), 1) == "app"
    for other in (key[:-1], key + "x", key.upper(), new_key(), "", "tm-", "x" * 10_000):
        assert keys.find(other.encode(), 1) is None


def test_no_two_keys_are_alike_and_each_has_its_prefix():
    keys = {new_key() for _ in range(100)}

    assert len(keys) == 100
    assert all(is_virtual(key.encode()) and len(key) == len(PREFIX) + 40 for key in keys)


def test_without_the_pepper_a_hash_says_nothing():
    key = new_key()

    assert digest(key.encode(), PEPPER) != digest(key.encode(), bytes(32))


def test_a_rotated_secret_works_until_its_end():
    key = new_key()
    keys = ring(key, expires_at_ns=100)

    assert keys.find(key.encode(), 99) == "app"
    assert keys.find(key.encode(), 100) is None


def test_a_hint_shows_no_more_than_the_end():
    assert hint("tm-" + "a" * 36 + "x7Qp") == "tm-...x7Qp"


@pytest.mark.parametrize(
    ("credential", "virtual"), [(b"tm-abc", True), (b"sk-abc", False), (b"", False), (None, False)]
)
def test_a_virtual_key_is_told_by_its_prefix(credential, virtual):
    assert is_virtual(credential) is virtual
