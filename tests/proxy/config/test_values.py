import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import values
from proxy.settings import Listen

PARSERS = [
    values.duration_s,
    values.size_bytes,
    values.retention_days,
    values.hour_of_day,
    values.listen,
    values.base_url,
    values.secret_ref,
    values.worker_count,
    values.currency,
    values.identifier,
    values.host_name,
    values.header_name,
    values.header_value,
    values.web_url,
    values.redis_url,
]

raw_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def refusal(parse, raw):
    try:
        parse(raw)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("parse", PARSERS)
@given(raw=raw_values)
def test_any_yaml_value_is_taken_or_refused_with_a_sentence(parse, raw):
    assert refusal(parse, raw) != ""


@pytest.mark.parametrize("parse", [p for p in PARSERS if p is not values.currency])
@given(word=st.text(alphabet="QXZ", min_size=12))
def test_no_refusal_repeats_what_was_written(parse, word):
    for raw in (f"{word}!", f"https://me:{word}@host", f"env:{word}!", f"https://host/?key={word}"):
        assert word not in (refusal(parse, raw) or "")


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [("10s", 10.0), ("500ms", 0.5), ("5m", 300.0), ("1h30m", 5400.0), ("1.5 s", 1.5), (3, 3.0), (0.25, 0.25)],
)
def test_durations_come_in_words_or_seconds(raw, seconds):
    assert values.duration_s(raw) == pytest.approx(seconds)


@pytest.mark.parametrize("raw", ["10 parsecs", "s", "", "-1s", 0, -3, True, None, "1e3s", "40d", float("nan"), [1]])
def test_other_durations_are_refused(raw):
    with pytest.raises(ValueError, match="must be"):
        values.duration_s(raw)


@pytest.mark.parametrize(
    ("raw", "size"), [("256MiB", 256 * 2**20), ("10MB", 10**7), ("1 KiB", 1024), (77, 77), ("5B", 5)]
)
def test_sizes_come_in_words_or_bytes(raw, size):
    assert values.size_bytes(raw) == size


@pytest.mark.parametrize(("raw", "days"), [("400d", 400), (" 1 d ", 1), ("7300d", 7300), ("never", None)])
def test_retentions(raw, days):
    assert values.retention_days(raw) == days


@pytest.mark.parametrize("raw", [400, "0d", "7301d", "12h", "1.5d", "-3d", True, 0])
def test_no_retention_is_guessed(raw):
    with pytest.raises(ValueError, match="must be"):
        values.retention_days(raw)


@pytest.mark.parametrize(("raw", "hour"), [(0, 0), (23, 23), ("never", None)])
def test_hours(raw, hour):
    assert values.hour_of_day(raw) == hour


@pytest.mark.parametrize("raw", [24, -1, True, "3", 3.0])
def test_no_hour_is_guessed(raw):
    with pytest.raises(ValueError, match="hour of the day"):
        values.hour_of_day(raw)


@pytest.mark.parametrize("raw", ["256 megs", "1.5MiB", 0, -1, True, "2048GiB", "MiB"])
def test_other_sizes_are_refused(raw):
    with pytest.raises(ValueError, match="must be"):
        values.size_bytes(raw)


@pytest.mark.parametrize(
    ("raw", "listen"),
    [
        ("127.0.0.1:8484", Listen("127.0.0.1", 8484)),
        ("[::1]:80", Listen("::1", 80)),
        (8484, Listen("127.0.0.1", 8484)),
        ("0.0.0.0:0", Listen("0.0.0.0", 0)),
        ("proxy.internal:1", Listen("proxy.internal", 1)),
    ],
)
def test_addresses_to_listen_on(raw, listen):
    assert values.listen(raw) == listen


@pytest.mark.parametrize("raw", ["8484", ":8484", "host", "host:", "::1:80", "a b:80", "1.2.3.4:70000", "999.1.1.1:1"])
def test_other_addresses_are_refused(raw):
    with pytest.raises(ValueError, match=r"8484|port|host"):
        values.listen(raw)


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("https://api.minimax.io", "https://api.minimax.io"),
        ("HTTPS://API.MiniMax.io/", "https://api.minimax.io"),
        ("http://127.0.0.1:9000/v1/", "http://127.0.0.1:9000/v1"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("https://host/Case/Kept", "https://host/Case/Kept"),
    ],
)
def test_base_urls_are_kept_in_one_form(raw, url):
    assert values.base_url(raw) == url


@pytest.mark.parametrize(
    "raw",
    [
        "api.minimax.io",
        "ftp://host",
        "https://",
        "https://user:pw@host",
        "https://host?x=1",
        "https://host#f",
        "https://host?",
        "https://ho st",
        "https://host:99999",
        "https://host/a/../b",
        "https://h\u00f6st",
        "http://[::1",
        "https://host\\@evil",
        17,
    ],
)
def test_other_urls_are_refused(raw):
    with pytest.raises(ValueError):
        values.base_url(raw)


@pytest.mark.parametrize(
    ("raw", "ref"),
    [
        ("env:MINIMAX_API_KEY", values.SecretRef("env", "MINIMAX_API_KEY")),
        ({"env": "KEY"}, values.SecretRef("env", "KEY")),
        ("file: /run/secrets/key", values.SecretRef("file", "/run/secrets/key")),
        ({"file": "key.txt"}, values.SecretRef("file", "key.txt")),
    ],
)
def test_secrets_are_references(raw, ref):
    assert values.secret_ref(raw) == ref


@pytest.mark.parametrize(
    "raw", ["sk-live-1234", "env:", "env:sk-live-1", {"env": "A", "file": "b"}, {"key": "x"}, 5, ""]
)
def test_everything_else_is_refused_as_a_secret(raw):
    with pytest.raises(ValueError, match=r"env:|file:"):
        values.secret_ref(raw)


def test_a_header_has_a_small_name_and_a_value_or_a_reference():
    assert values.header_name("X-Scope-OrgID") == "x-scope-orgid"
    assert values.header_value(" tenant ") == "tenant"
    assert values.header_value("env:TOKEN") == values.SecretRef("env", "TOKEN")
    for bad in ("", "a b", "é", 5):
        with pytest.raises(ValueError):
            values.header_name(bad)
    for bad in ("a\nb", 5, {"env": "A", "file": "B"}):
        with pytest.raises(ValueError):
            values.header_value(bad)


def test_a_whole_url_keeps_its_path_and_query():
    assert values.web_url("https://h.example/T0?key=a/b") == "https://h.example/T0?key=a/b"
    assert values.web_url({"file": "hook"}) == values.SecretRef("file", "hook")
    for bad in ("", "h.example", "https://me:pw@h.example", "https://h.example/#x", "https://h.example/?a b", None):
        with pytest.raises(ValueError):
            values.web_url(bad)


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("redis://r.example", "redis://r.example:6379/0"),
        ("rediss://R.example:6380/3", "rediss://r.example:6380/3"),
        ("redis://[::1]:7000/", "redis://[::1]:7000/0"),
    ],
)
def test_a_redis_url_gets_its_port_and_database(raw, url):
    assert values.redis_url(raw) == url


@pytest.mark.parametrize(
    "raw", ["", "r.example:6379", "http://r.example", "redis://:pw@r.example", "redis://r/x", "redis://r?db=1", None]
)
def test_what_is_no_redis_url_is_refused(raw):
    with pytest.raises(ValueError):
        values.redis_url(raw)
