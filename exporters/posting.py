"""One POST after the other to one URL, over a connection that is kept. For the thread of a sink.

Nothing is followed, nothing is tried again but once over a fresh connection where a kept one turned out to be dead:
when to try again is the recorder's business. A receiver that asks for time gets it: until then nobody connects.
Messages name scheme, host and port, never path or query, as those are keys with many receivers.
"""

import email.utils
import http.client
import select
import socket
import ssl
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from exporters.patience import Patience
from exporters.recorder.ports import SinkUnavailableError

MAX_ANSWER_BYTES = 64 * 1024
_ASK_FOR_TIME = frozenset({429, 503})


class Answer(msgspec.Struct, frozen=True):
    """What a receiver answered."""

    status: int
    body: bytes
    """At most `MAX_ANSWER_BYTES` of it."""


class Poster:
    """POSTs to one URL.

    Args:
        url: `http` or `https`, with any path and query.
        timeout_s: For each step of a request: connecting, sending, waiting for the answer.
        ca_file: The certificates to trust in place of the system's.
        cert_file: Our own certificate; None where nobody asks for one.
        key_file: Its key; None where it is in `cert_file`.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        self.origin = f"{parts.scheme}://{parts.netloc}"
        """Scheme, host and port: what may be shown of the URL."""
        self._timeout_s = timeout_s
        self._files = (ca_file, cert_file, key_file)
        self._connection: http.client.HTTPConnection | None = None
        self._patience = Patience(self.origin)

    def check(self) -> None:
        """Make sure of a connection. Raises SinkUnavailableError."""
        self._patience.check()
        try:
            self._connected()
        except (OSError, http.client.HTTPException) as error:
            raise self._unavailable(error) from error

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer, whatever its status. Raises SinkUnavailableError where none came."""
        self._patience.check()
        was_kept = self._connection is not None
        try:
            try:
                return self._ask(body, headers)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if not was_kept or isinstance(error, TimeoutError):
                    raise
            return self._ask(body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is not None and _has_ended(self._connection):
            self.close()
        if self._connection is None:
            connection = self._new_connection()
            connection.connect()
            # A request goes out in two writes, and the second must not wait for the answer to the first.
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = connection
        return self._connection

    def _new_connection(self) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        ca_file, cert_file, key_file = self._files
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file:
            context.load_cert_chain(cert_file, key_file)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=context)

    def _ask(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        connection = self._connected()
        connection.request("POST", self._target, body=body, headers=dict(headers))
        response = connection.getresponse()
        answer = Answer(response.status, response.read(MAX_ANSWER_BYTES))
        if response.status in _ASK_FOR_TIME and (delay_s := retry_after_s(response.getheader("retry-after"))):
            self._patience.wait(delay_s)
        if not response.isclosed() or response.will_close:
            self.close()
        return answer

    def _unavailable(self, error: Exception) -> SinkUnavailableError:
        said = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return SinkUnavailableError(f"{self.origin}: {said}")


def _has_ended(connection: http.client.HTTPConnection) -> bool:
    """Whether the other side has closed an idle connection: whatever comes on it unasked is the end of it."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def retry_after_s(value: str | None) -> float | None:
    """Seconds that a `Retry-After` asks for, as a number or as a date; None where it says nothing of use."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
