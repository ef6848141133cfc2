import pytest

from proxy.admin.hosts import host_is_ours


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8485",
        "[::1]:8485",
        "::1",
        "localhost",
        "LOCALHOST:8485",
        "taximeter.localhost",
        "10.1.2.3:8485",
        "localhost.",
        "meter.internal:8485",
    ],
)
def test_addresses_localhost_and_named_hosts_are_ours(host):
    assert host_is_ours(host, ["meter.internal"])


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8485",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "[evil]",
        "a:b:c",
        "127.0.0.1@evil",
    ],
)
def test_every_other_name_could_be_rebound(host):
    assert not host_is_ours(host, ["meter.internal"])
