"""The running store as our commands see it."""

import msgspec
import pytest

from exporters.store.remote import asker, literal, name_of, take_snapshot
from proxy.settings import StoreSettings
from proxy.store_http import StoreError

ODD = "it's `odd` \\ "


@pytest.fixture
def settings(store):
    return StoreSettings(url=f"http://127.0.0.1:{store.port}", user="meter", password="s3cret", database="remote")


@pytest.mark.real
def test_rows_come_decoded_and_names_and_texts_are_taken_as_they_are(settings):
    ask = asker(settings)
    place = name_of("default", ODD)
    ask(f"CREATE TABLE {place} (n String) ENGINE = Memory")
    ask(f"INSERT INTO {place} SELECT {literal(ODD)}")

    assert ask(f"SELECT n, 1 FROM {place}") == [[ODD, 1]]
    assert ask(f"DROP TABLE {place}") == []
    with pytest.raises(StoreError, match="UNKNOWN_TABLE"):
        ask(f"SELECT n FROM {place}")


@pytest.mark.real
def test_a_snapshot_is_asked_for_in_the_database_of_the_settings(settings):
    ask = asker(settings)
    ask("CREATE DATABASE remote")
    ask("CREATE TABLE remote.t (n UInt8) ENGINE = MergeTree ORDER BY n")
    taken = take_snapshot(settings, "asked")

    assert (taken.database, taken.tables) == ("_snapshot_asked", ("t",))
    ask(f"DROP DATABASE {name_of(taken.database)} SYNC")
    ask("DROP DATABASE remote SYNC")


@pytest.mark.real
def test_what_is_wrong_is_told_in_the_words_of_the_store(settings):
    with pytest.raises(StoreError, match="has no tables"):
        take_snapshot(msgspec.structs.replace(settings, database="nothing"), "asked")
    with pytest.raises(StoreError, match="Authentication failed"):
        take_snapshot(msgspec.structs.replace(settings, password="wrong"), "asked")
    with pytest.raises(StoreError, match="cannot be reached"):
        take_snapshot(msgspec.structs.replace(settings, url="http://127.0.0.1:1"), "asked")
