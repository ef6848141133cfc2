import base64
import hashlib
import string
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.headers import read_request_head
from proxy.core.identity import (
    INVALID,
    MAX_TAGS,
    MAX_VALUE_CHARS,
    REPEATED,
    TOO_LONG,
    TOO_MANY_TAGS,
    UNKNOWN,
    identify,
    key_id,
)

KEY = b"sk-proj-4fJ9xQ2mZ7vL1kP8tR5wY3uB6nC0dE"


def read(*fields):
    return identify(read_request_head([(name.encode(), value.encode()) for name, value in fields]))


# The fingerprint


def test_a_fingerprint_is_the_same_for_ever():
    # These two are on rows of running installations: a change here cuts their history in two.
    assert key_id(KEY) == "k_93dccde7da8030e6"
    assert key_id(b"sk-team-a") == "k_51c8b0a1b7db5247"


@settings(max_examples=25)
@given(st.binary(min_size=20, max_size=64), st.binary(min_size=20, max_size=64))
def test_different_keys_have_different_fingerprints(one, other):
    assert (key_id(one) == key_id(other)) is (one == other)


@given(st.text(string.ascii_letters + string.digits, min_size=40, max_size=40))
def test_a_fingerprint_shows_no_part_of_the_key(key):
    shown = key_id(key.encode())

    assert len(shown) == len("k_") + 16
    assert set(shown.removeprefix("k_")) <= set("0123456789abcdef")


def test_a_made_up_key_is_not_fingerprinted_the_quick_way():
    quick = hashlib.blake2b(b"sk-team-a", digest_size=8, person=b"taximeter key_id").hexdigest()
    assert key_id(b"sk-team-a") != f"k_{quick}"


def test_keys_of_any_length_have_a_fingerprint():
    assert len({key_id(key) for key in (b"\x00", b"aaaa", b"a" * 10_000, KEY * 200)}) == 4


# Where the key stands


@pytest.mark.parametrize(
    "field",
    [
        ("Authorization", f"Bearer {KEY.decode()}"),
        ("authorization", f"bearer   {KEY.decode()} "),
        ("Authorization", KEY.decode()),
        ("x-api-key", KEY.decode()),
        ("api-key", KEY.decode()),
        ("X-Goog-Api-Key", KEY.decode()),
        ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{KEY.decode()}"),
    ],
)
def test_the_same_key_has_one_fingerprint_wherever_it_stands(field):
    identity = read(field)

    assert identity.credential == KEY
    assert identity.caller.key_id == key_id(KEY)


def test_a_key_in_the_query_counts_when_no_header_has_one():
    assert identify(read_request_head([]), KEY.decode()).caller.key_id == key_id(KEY)
    assert identify(read_request_head([(b"x-api-key", b"other")]), KEY.decode()).credential == b"other"


def test_authorization_wins_over_x_api_key():
    assert read(("x-api-key", "two"), ("authorization", "Bearer one")).credential == b"one"


@pytest.mark.parametrize("fields", [[], [("authorization", "")], [("authorization", "Bearer ")], [("x-api-key", " ")]])
def test_without_a_key_there_is_no_fingerprint(fields):
    identity = read(*fields)

    assert (identity.caller.key_id, identity.credential) == ("", None)


# Attribution


def test_a_call_is_attributed_by_headers():
    caller = read(
        ("X-Taximeter-Team", "search"),
        ("x-taximeter-project", " ranking "),
        ("x-taximeter-user", "zo%C3%AB%20k"),
        ("x-taximeter-session", "s-1"),
        ("x-taximeter-tags", "env=prod, feature = chat ,note=a%2Cb%3Dc,empty="),
    ).caller

    assert (caller.team, caller.project, caller.user, caller.session) == ("search", "ranking", "zoë k", "s-1")
    assert caller.tags == {"env": "prod", "feature": "chat", "note": "a,b=c", "empty": ""}


def test_a_call_is_attributed_by_baggage_of_the_same_names():
    tags = quote("env=prod,feature=chat", safe="")
    identity = read(("baggage", f"x-taximeter-team = search;ttl=5,x-taximeter-user=zo%C3%AB , x-taximeter-tags={tags}"))

    assert (identity.caller.team, identity.caller.user) == ("search", "zoë")
    assert identity.caller.tags == {"env": "prod", "feature": "chat"}
    assert identity.reasons == ()


def test_headers_win_over_baggage_and_tags_are_merged():
    identity = read(
        ("baggage", "x-taximeter-team=b,x-taximeter-project=b,x-taximeter-tags=env%3Dtest%2Cregion%3Deu"),
        ("x-taximeter-team", "h"),
        ("x-taximeter-tags", "env=prod"),
    )

    assert (identity.caller.team, identity.caller.project) == ("h", "b")
    assert identity.caller.tags == {"env": "prod", "region": "eu"}
    assert identity.reasons == ()


@pytest.mark.parametrize(
    ("sent", "forwarded"),
    [
        (["x-taximeter-team=a"], None),
        (["x-taximeter-team=a , x-taximeter-user=b"], None),
        (["k=v;p=1 ,x-taximeter-team=a, other = x%20y"], b"k=v;p=1 , other = x%20y"),
        (["x-taximeter-team=a,k=v"], b"k=v"),
        (["k=v", "X-Taximeter-Team=a", "z=1"], b"k=v,z=1"),
        (["x-taximeter-nonsense,k=v"], b"k=v"),
    ],
)
def test_only_our_members_are_taken_off_the_baggage(sent, forwarded):
    assert read(*(("baggage", value) for value in sent)).changes == {b"baggage": forwarded}


@pytest.mark.parametrize("value", ["", "k=v", "k=x-taximeter-team=a", "ax-taximeter-team=a", ",,;=,", "team=search"])
def test_baggage_without_our_members_is_not_touched(value):
    identity = read(("baggage", value))

    assert identity.changes == {}
    assert identity.caller.team == ""


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ([("x-taximeter-team", "x" * (MAX_VALUE_CHARS + 1))], (TOO_LONG,)),
        ([("x-taximeter-team", "a%00b")], (INVALID,)),
        ([("x-taximeter-team", "%ff")], (INVALID,)),
        ([("x-taximeter-team", "")], ()),
        ([("x-taximeter-tags", "urgent")], (INVALID,)),
        ([("x-taximeter-tags", "=x,,")], (INVALID,)),
        ([("x-taximeter-tags", "a=x%0ay")], (INVALID,)),
        ([("x-taximeter-tags", "k" * 65 + "=1")], (TOO_LONG,)),
        ([("x-taximeter-teams", "x")], (UNKNOWN,)),
        ([("baggage", "x-taximeter-color=x,x-taximeter-team=%ff")], (UNKNOWN, INVALID)),
    ],
)
def test_what_cannot_be_used_is_left_out_with_its_reason(fields, reasons):
    identity = read(*fields)

    assert identity.reasons == reasons
    assert (identity.caller.team, identity.caller.tags) == ("", {})


def test_of_a_repeated_field_the_first_counts():
    identity = read(("x-taximeter-team", "a"), ("x-taximeter-team", "b"))

    assert (identity.caller.team, identity.reasons) == ("a", (REPEATED,))


def test_a_header_that_cannot_be_used_leaves_the_place_to_the_baggage():
    identity = read(("x-taximeter-team", "%ff"), ("baggage", "x-taximeter-team=b"))

    assert (identity.caller.team, identity.reasons) == ("b", (INVALID,))


def test_tags_beyond_the_limit_are_left_out():
    identity = read(("x-taximeter-tags", ",".join(f"t{n}=1" for n in range(MAX_TAGS + 5))))

    assert list(identity.caller.tags) == [f"t{n}" for n in range(MAX_TAGS)]
    assert identity.reasons == (TOO_MANY_TAGS,)


@given(st.text(min_size=1, max_size=40, alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"])))
def test_every_printable_value_survives_in_a_header_and_in_baggage(value):
    encoded = quote(value, safe="")

    for field in (("x-taximeter-user", encoded), ("baggage", f"x-taximeter-user={encoded}")):
        assert read(field).caller.user == value.strip()


@given(
    st.lists(st.tuples(st.sampled_from([b"team", b"tags", b"", b"user"]), st.binary(max_size=60))),
    st.binary(max_size=90),
)
def test_nothing_that_is_sent_is_an_error(own, baggage):
    fields = [*((b"x-taximeter-" + name, value) for name, value in own), (b"baggage", baggage)]
    identity = identify(read_request_head(fields))
    assert len(identity.caller.tags) <= MAX_TAGS
    assert set(identity.changes) <= {b"baggage"}


@pytest.mark.parametrize("pair", [b"tm-abc:", b"tm-abc:x", b"anything:tm-abc", b":tm-abc"])
@pytest.mark.parametrize("scheme", ["Basic", "basic"])
def test_a_virtual_key_is_found_as_user_or_password_of_basic_credentials(pair, scheme):
    identity = read(("Authorization", f"{scheme} {base64.b64encode(pair).decode()}"))
    assert (identity.credential, identity.virtual) == (b"tm-abc", True)


@pytest.mark.parametrize("value", ["Basic", "Basic %%%", "Basic dXNlcjpzZWNyZXQ=", "Basic a"])
def test_other_basic_credentials_are_no_virtual_key(value):
    assert not read(("Authorization", value)).virtual
