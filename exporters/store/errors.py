"""Errors as ClickHouse states them: a code, a name, a text, and the HTTP status that goes with the code. PURE.

Source: ClickHouse, `src/Common/ErrorCodes.cpp` (codes), `exceptionCodeToHTTPStatus` (status), HTTP interface (the block
that ends a stream).
"""

import re

BAD_ARGUMENTS = (36, "BAD_ARGUMENTS")
NOT_IMPLEMENTED = (48, "NOT_IMPLEMENTED")
SYNTAX_ERROR = (62, "SYNTAX_ERROR")
UNKNOWN_TYPE_OF_QUERY = (78, "UNKNOWN_TYPE_OF_QUERY")
UNKNOWN_COMPRESSION_METHOD = (89, "UNKNOWN_COMPRESSION_METHOD")
READONLY = (164, "READONLY")
REQUIRED_PASSWORD = (194, "REQUIRED_PASSWORD")
TOO_MANY_SIMULTANEOUS_QUERIES = (202, "TOO_MANY_SIMULTANEOUS_QUERIES")
SOCKET_TIMEOUT = (209, "SOCKET_TIMEOUT")
QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING = (216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING")
QUERY_IS_TOO_LARGE = (229, "QUERY_IS_TOO_LARGE")
CANNOT_DECOMPRESS = (271, "CANNOT_DECOMPRESS")
INTO_OUTFILE_NOT_ALLOWED = (358, "INTO_OUTFILE_NOT_ALLOWED")
SESSION_NOT_FOUND = (372, "SESSION_NOT_FOUND")
SESSION_IS_LOCKED = (373, "SESSION_IS_LOCKED")
INVALID_SESSION_TIMEOUT = (374, "INVALID_SESSION_TIMEOUT")
TOO_MANY_ROWS_OR_BYTES = (396, "TOO_MANY_ROWS_OR_BYTES")
AUTHENTICATION_FAILED = (516, "AUTHENTICATION_FAILED")
UNKNOWN_EXCEPTION = (1002, "UNKNOWN_EXCEPTION")

_STATUS = {
    **dict.fromkeys((194,), 401),
    **dict.fromkeys((192, 193, 497, 512, 516), 403),
    **dict.fromkeys(
        (6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676),
        400,
    ),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511), 404),
    **dict.fromkeys((229,), 413),
    **dict.fromkeys((48,), 501),
    **dict.fromkeys((76, 209, 439), 503),
    **dict.fromkeys((381,), 411),
    **dict.fromkeys((159,), 408),
    **dict.fromkeys((779,), 415),
}
_PREFIX = re.compile(r"(?:Code: (\d+)\. DB::Exception: )+")
_SUFFIX = re.compile(r"(?:\.? \(version [\d.]+\))?\.? ?\(([A-Z][A-Z0-9_]+)\)(?: \(version [\d.]+\))?\s*$")
_PIPE = re.compile(r"\(in file/uri [^)]*\): |(?: FROM INFILE|\nINTO OUTFILE) '[^']*' (?:COMPRESSION 'none'|TRUNCATE)")
_MOST_BLOCK_CHARS = 12 * 1024
"""A stream's last block may have 16 KiB in all, and a character up to four bytes only in odd texts."""


class StoreError(Exception):
    """A refusal or a failure that the client is told about."""

    def __init__(self, kind: tuple[int, str], detail: str) -> None:
        """`kind` is the code with its name, `detail` the sentence."""
        super().__init__(detail)
        self.code, self.name = kind
        self.detail = detail

    @property
    def status(self) -> int:
        """The HTTP status that a server answers this code with."""
        return _STATUS.get(self.code, 500)

    def text(self, version: str) -> str:
        """The line that clients read code and name from."""
        return f"Code: {self.code}. DB::Exception: {self.detail} ({self.name}) (version {version})\n"


class StartError(Exception):
    """The store cannot start; the message says why and what to do."""


def from_engine(message: str) -> StoreError:
    """What the engine raised. It repeats code and name for every floor that an error climbs, and names our pipes."""
    message = _PIPE.sub("", message.strip())
    prefix = _PREFIX.search(message)
    if prefix is None:
        return StoreError(UNKNOWN_EXCEPTION, message or "The engine failed without a word")
    detail, name = message[prefix.end() :], ""
    while suffix := _SUFFIX.search(detail):
        if name not in {"", suffix[1]}:
            break
        name, detail = suffix[1], detail[: suffix.start()]
    return StoreError((int(prefix[1]), name or UNKNOWN_EXCEPTION[1]), detail)


def stream_block(error: StoreError, tag: str, version: str) -> bytes:
    """How a stream that has begun ends when the query fails; clients look for `tag`, which they got in a header."""
    message = error.text(version)[:_MOST_BLOCK_CHARS].rstrip("\n").encode("utf-8", "replace") + b"\n"
    sign, mark = tag.encode(), b"__exception__\r\n"
    return b"\r\n" + mark + sign + b"\r\n" + message + f"{len(message)} ".encode() + sign + b"\r\n" + mark
