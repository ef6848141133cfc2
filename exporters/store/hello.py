"""The one answer that clickhouse-go needs in another form before it understands the rest. PURE.

Over HTTP it asks for the Native format of its own protocol version, in which blocks and columns have extra fields. The
embedded engine cannot write those. But the first thing that it asks is which version the server speaks, and from an
answer of 0 on it reads the plain form. So this answer alone is written here, in the form that it expects.
Source: clickhouse-go v2, `conn_http.go` (queryHello) and `lib/proto/block.go`.
"""

HELLO = b"SELECT displayName(), version(), revision(), timezone()"
_WITH_SERIALIZATION_KINDS = 54454
"""From this protocol version on a column says whether its serialization is a custom one."""


def hello_block(protocol_version: int, engine_version: str) -> bytes:
    """The answer to HELLO as a Native block of that protocol version; it says revision 0."""
    kind = b"\0" if protocol_version >= _WITH_SERIALIZATION_KINDS else b""
    block_info = b"\x01\0" + b"\x02\xff\xff\xff\xff" + b"\0"
    columns = (
        (b"displayName()", b"String", _text(b"taximeter")),
        (b"version()", b"String", _text(engine_version.encode())),
        (b"revision()", b"UInt32", bytes(4)),
        (b"timezone()", b"String", _text(b"UTC")),
    )
    body = b"".join(_text(name) + _text(type_) + kind + value for name, type_, value in columns)
    return block_info + bytes([len(columns), 1]) + body


def _text(value: bytes) -> bytes:
    """A short text with its length in front."""
    return bytes([len(value)]) + value
