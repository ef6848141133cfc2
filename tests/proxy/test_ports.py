import socket

import msgspec
import pytest

from proxy.ports import PortsError, with_free_ports
from proxy.settings import Listen
from tests.fakes.config_files import load

ANY = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstore: {listen: '127.0.0.1:0'}\n"


def test_every_port_0_becomes_a_free_one(tmp_path):
    settings = msgspec.structs.replace(load(tmp_path, ANY), sandbox=Listen("127.0.0.1", 0))
    got = with_free_ports(settings)
    ports = {got.listen.port, got.admin.port, got.sandbox.port, int(got.store.url.rpartition(":")[2])}
    assert len(ports) == 4
    assert 0 not in ports


def test_ports_that_are_given_stay(tmp_path):
    given = with_free_ports(load(tmp_path, ANY))
    assert with_free_ports(given) == given


def test_every_taken_port_is_named_with_its_key(tmp_path):
    settings = with_free_ports(load(tmp_path, ANY))
    with (
        socket.create_server(("127.0.0.1", settings.listen.port)),
        socket.create_server(("127.0.0.1", settings.admin.port)),
        pytest.raises(PortsError) as raised,
    ):
        with_free_ports(settings)
    assert str(raised.value).splitlines() == [
        f"listen: 127.0.0.1:{settings.listen.port}: address already in use",
        f"admin: 127.0.0.1:{settings.admin.port}: address already in use",
    ]


def test_a_port_that_another_process_shares_out_counts_as_taken(tmp_path):
    settings = with_free_ports(load(tmp_path, ANY))
    with socket.create_server(("127.0.0.1", settings.listen.port), reuse_port=True), pytest.raises(PortsError):
        with_free_ports(settings)


def test_the_port_of_a_real_store_is_none_of_ours(tmp_path):
    text = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstore: {url: 'https://ch.example:8443'}\n"
    assert with_free_ports(load(tmp_path, text)).store.url == "https://ch.example:8443"


def test_ipv6_is_listened_on_too(tmp_path):
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    settings = load(tmp_path, "listen: '[::1]:0'\nadmin: 127.0.0.1:0\nstore: {listen: '127.0.0.1:0'}\n")
    try:
        assert with_free_ports(settings).listen.port
    except PortsError as error:
        pytest.skip(f"IPv6 is off here: {error}")
