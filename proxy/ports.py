"""The ports a start needs, tried before any process is started: all that are taken are named at once."""

import contextlib
import socket

import msgspec

from proxy.settings import Listen, Settings


class PortsError(Exception):
    """Addresses that cannot be listened on; the message has a line for each, with the key that sets it."""


def with_free_ports(settings: Settings) -> Settings:
    """The settings with every port 0 replaced by a free one. Raises PortsError when an address cannot be had."""
    wanted = {"listen": settings.listen, "admin": settings.admin}
    if settings.store.embedded:
        host, _, port = settings.store.url.removeprefix("http://").rpartition(":")
        wanted["store.listen"] = Listen(host.strip("[]"), int(port))
    if settings.sandbox:
        wanted["sandbox"] = settings.sandbox
    got: dict[str, Listen] = {}
    problems: list[str] = []
    with contextlib.ExitStack() as held:
        # All are held until the last one is tried, so that no two get the same free port.
        for key, address in wanted.items():
            try:
                got[key] = Listen(address.host, _try(address, held))
            except OSError as error:
                why = (error.strerror or "cannot be listened on").lower()
                problems.append(f"{key}: {address.host}:{address.port}: {why}")
    if problems:
        raise PortsError("\n".join(problems))
    store = settings.store
    if "store.listen" in got:
        store = msgspec.structs.replace(store, url=got["store.listen"].url)
    return msgspec.structs.replace(
        settings, listen=got["listen"], admin=got["admin"], store=store, sandbox=got.get("sandbox")
    )


def _try(address: Listen, held: contextlib.ExitStack) -> int:
    """Bind as a server would, without SO_REUSEPORT: a port that another taximeter shares out counts as taken."""
    family, kind, protocol, _, name = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    server = held.enter_context(socket.socket(family, kind, protocol))
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(name)
    server.listen(1)
    port: int = server.getsockname()[1]
    return port
