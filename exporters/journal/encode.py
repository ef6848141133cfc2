"""A record as one line of JSON, whatever is in it. PURE."""

from decimal import Decimal
from typing import Any

import msgspec

from proxy.core.record import JournalLine

_ENCODER = msgspec.json.Encoder()


def encode_line(record: JournalLine, buffer: bytearray) -> None:
    """Write the record and a line feed into `buffer`, which then holds nothing else.

    Text that is no Unicode (lone surrogates) cannot be JSON: it is replaced, since a call with an odd name in it is
    still a call. Raises TypeError for what is no record.
    """
    try:
        _ENCODER.encode_into(record, buffer)
    except UnicodeError:
        _ENCODER.encode_into(_plain(msgspec.to_builtins(record, builtin_types=(Decimal,))), buffer)
    buffer.append(0x0A)


def _plain(value: Any) -> Any:
    """The same value with every text made Unicode."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
