"""Questions to the store over the ClickHouse HTTP interface, with nothing but the standard library.

For people's own SQL and for checks, where the answer is passed on in the format that was asked for: a whole driver
would cost more time to load than the question takes. Rows for reports are the exporters' business.
"""

import http.client
import ssl
from collections.abc import Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

from proxy.settings import StoreSettings

_CHUNK_BYTES = 256 * 1024
_ERROR_BYTES = 16 * 1024


class StoreError(Exception):
    """The store refused or could not be reached. `code` is ClickHouse's, None when there was no answer."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class Answer:
    """An answer as it comes in. Use it as a context manager: it holds the connection."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.format = response.getheader("X-ClickHouse-Format", "")
        """The format of the bytes, empty for a statement without a result."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the answer. Raises StoreError when it breaks off."""
        try:
            while data := self._response.read(_CHUNK_BYTES):
                yield data
        except (OSError, http.client.HTTPException) as error:
            raise StoreError(f"the answer broke off: {_reason(error)}") from error
        if self._response.length:  # a read in pieces takes an early end for the end
            raise StoreError("the answer broke off before its end")

    def read(self) -> bytes:
        """The whole answer. Raises StoreError when it breaks off."""
        return b"".join(self.chunks())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()


def ask(
    store: StoreSettings,
    sql: str,
    *,
    answer_format: str,
    write: bool = False,
    anywhere: bool = False,
    timeout_s: float = 30.0,
) -> Answer:
    """Run one statement as the read-only user, or as the other one when `write` is set.

    Args:
        store: where and as whom.
        sql: the statement; a FORMAT of its own wins over `answer_format`.
        answer_format: a format name of ClickHouse, such as `JSONCompact`.
        write: whether the statement may change anything.
        anywhere: whether it concerns the server alone, and is to work before there is a database of ours.
        timeout_s: how long the store may be silent, in seconds.

    Raises:
        StoreError: the store refused the statement or cannot be reached.
    """
    url = urlsplit(store.url)
    user = (store.user, store.password) if write else (store.reader_user, store.reader_password)
    parameters = {"default_format": answer_format}
    if not anywhere:
        parameters["database"] = store.database
    if not write and store.reader_user == store.user:
        parameters["readonly"] = "1"
    connection = _connection(store, timeout_s)
    try:
        connection.request(
            "POST",
            f"{url.path}/?{urlencode(parameters)}",
            body=sql.encode(),
            headers={
                "X-ClickHouse-User": user[0],
                "X-ClickHouse-Key": user[1],
                "Content-Type": "text/plain; charset=utf-8",
            },
        )
        response = connection.getresponse()
        said = b"" if response.status == http.HTTPStatus.OK else response.read(_ERROR_BYTES)
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise StoreError(f"the store at {store.url} cannot be reached: {_reason(error)}") from error
    if response.status != http.HTTPStatus.OK:
        connection.close()
        code = response.getheader("X-ClickHouse-Exception-Code", "")
        message = said.decode("utf-8", "replace").strip() or f"the store answered with status {response.status}"
        raise StoreError(message, int(code) if code.isdigit() else None)
    return Answer(connection, response)


def _connection(store: StoreSettings, timeout_s: float) -> http.client.HTTPConnection:
    url = urlsplit(store.url)
    host = url.hostname or ""
    if url.scheme != "https":
        return http.client.HTTPConnection(host, url.port or 80, timeout=timeout_s)
    context = ssl.create_default_context(cafile=store.tls_ca_file)
    if not store.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, url.port or 443, timeout=timeout_s, context=context)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
