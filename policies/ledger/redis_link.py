"""The connection to the Redis or Valkey that holds the books."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from policies.ledger.books import BooksUnavailableError

_SCRIPT = Path(__file__).with_name("redis_books.lua").read_text(encoding="utf-8")
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class _Client(Protocol):
    """What is used of the client of a server, and of that of a cluster."""

    def execute_command(self, *arguments: str | bytes | int) -> Any: ...

    def close(self) -> None: ...


class RedisOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the server."""

    url: str
    """`redis(s)://host:port/database`."""
    name: str = "taximeter"
    """Of these books: what the keys begin with."""
    user: str | None = None
    password: str | None = None
    tls_verify: bool = True
    tls_ca_file: str | None = None
    cluster: bool = False
    timeout_s: float = 1.0

    def __repr__(self) -> str:
        """Without the password."""
        return f"RedisOptions(url={self.url!r}, name={self.name!r})"


class RedisLink:
    """Asks the server; whatever goes wrong is a BooksUnavailableError. Thread-safe.

    Args:
        options: How to reach it.
    """

    def __init__(self, options: RedisOptions) -> None:
        self._prefix = f"{{{options.name}}}:"
        self._where = options.url.rpartition("/")[0]
        self._client: _Client | None = None
        self._options = options

    def key(self, name: str) -> str:
        """The whole name of a key: all of them have one hash tag."""
        return self._prefix + name

    def command(self, *arguments: str | bytes | int) -> Any:
        """What the server answers to a command; texts in it are bytes."""
        return self._ask(lambda client: client.execute_command(*arguments))

    def script(self, arguments: Sequence[str | bytes]) -> Any:
        """Run the script of the books."""
        return self._ask(lambda client: self._evaluate(client, arguments))

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            with contextlib.suppress(RedisError, OSError):
                self._client.close()

    def _evaluate(self, client: _Client, arguments: Sequence[str | bytes]) -> Any:
        key = self.key("epoch")
        try:
            return client.execute_command("EVALSHA", _SHA, 1, key, *arguments)
        except NoScriptError:
            # A server that was started a moment ago does not know it.
            return client.execute_command("EVAL", _SCRIPT, 1, key, *arguments)

    def _ask(self, ask: Callable[[_Client], Any]) -> Any:
        try:
            if self._client is None:
                # A client of a cluster asks it at once.
                self._client = _client(self._options)
            try:
                return ask(self._client)
            except redis.TimeoutError:
                raise
            except redis.ConnectionError:
                # A connection that was kept open is closed by a server that restarts.
                return ask(self._client)
        except (RedisError, OSError) as error:
            raise BooksUnavailableError(f"the ledger {self._where} does not answer: {error}") from error


def _client(options: RedisOptions) -> _Client:
    tls: dict[str, Any] = {}
    if options.url.startswith("rediss:"):
        tls = {"ssl_cert_reqs": "required" if options.tls_verify else "none", "ssl_ca_certs": options.tls_ca_file}
        tls["ssl_check_hostname"] = options.tls_verify
    make = RedisCluster.from_url if options.cluster else redis.Redis.from_url
    client = make(
        options.url,
        username=options.user,
        password=options.password,
        socket_timeout=options.timeout_s,
        socket_connect_timeout=options.timeout_s,
        retry=Retry(NoBackoff(), 0),
        **tls,
    )
    return cast("_Client", client)
