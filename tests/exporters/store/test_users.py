"""Who is let in."""

from base64 import b64encode

import pytest

from exporters.store.errors import StoreError
from exporters.store.users import User, Users
from proxy.settings import StoreSettings

SETTINGS = StoreSettings(url="", user="meter", password="päss", reader_user="reader", reader_password="eyes")
USERS = Users(SETTINGS)


def basic(text):
    return {"Authorization": "Basic " + b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        (basic("meter:päss"), {}),
        ({"X-ClickHouse-User": "meter", "X-ClickHouse-Key": "päss"}, {}),
        ({}, {"user": "meter", "password": "päss"}),
    ],
)
def test_there_are_three_ways_to_say_who_one_is(headers, params):
    assert USERS.recognise(headers, params) == User("meter", reads_only=False)


def test_the_reader_is_known_as_one_who_only_reads():
    assert USERS.recognise(basic("reader:eyes"), {}) == User("reader", reads_only=True)


@pytest.mark.parametrize(
    ("headers", "params", "code"),
    [
        ({}, {}, 194),
        (basic("meter:wrong"), {}, 516),
        (basic("reader:päss"), {}, 516),
        (basic("meter"), {}, 516),
        ({"Authorization": "Basic ???"}, {}, 516),
        ({"Authorization": "Bearer x"}, {}, 516),
        ({"Authorization": ""}, {}, 516),
        ({}, {"user": "meter"}, 516),
        (basic("meter:päss"), {"user": "meter"}, 516),
        ({"X-ClickHouse-User": "meter", "X-ClickHouse-Key": "päss"}, {"password": "päss"}, 516),
    ],
)
def test_everybody_else_is_refused(headers, params, code):
    with pytest.raises(StoreError) as caught:
        USERS.recognise(headers, params)

    assert caught.value.code == code
    assert "päss" not in caught.value.detail


def test_a_reader_without_a_password_does_not_exist():
    users = Users(StoreSettings(url="", user="meter", password="x"))

    with pytest.raises(StoreError):
        users.recognise(basic("reader:"), {})
