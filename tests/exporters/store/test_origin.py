"""Which requests are not even looked at."""

import pytest

from exporters.store.origin import refusal


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:8486"},
        {"Host": "[::1]:8486"},
        {"Host": "localhost"},
        {"Host": "store.localhost:1"},
        {"Host": "taximeter:8486"},
        {"Host": "db.example.org:8486"},
        {"Host": "10.0.0.7"},
        {},
        {"Host": "127.0.0.1:8486", "Origin": "http://127.0.0.1:8486", "Sec-Fetch-Site": "same-origin"},
        {"Host": "127.0.0.1:8486", "Sec-Fetch-Site": "none"},
    ],
)
def test_programs_are_let_through(headers):
    assert refusal(headers, "db.example.org") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:8486"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "127.0.0.1:8486", "Origin": "http://evil.example"},
        {"Host": "127.0.0.1:8486", "Origin": "http://127.0.0.1:3000"},
        {"Host": "127.0.0.1:8486", "Origin": "null"},
        {"Host": "127.0.0.1:8486", "Sec-Fetch-Site": "cross-site"},
        {"Host": "127.0.0.1:8486", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_the_web_are_refused(headers):
    assert refusal(headers, "db.example.org") is not None
