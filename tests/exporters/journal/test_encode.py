from decimal import Decimal
from typing import Any

import msgspec
import pytest

from exporters.journal.encode import encode_line
from proxy.core.record import CallRecord, LossRecord, OpenRecord
from proxy.core.usage import Usage
from tests.fakes.records import attempt, call, loss, opened


def line(record: Any) -> bytes:
    buffer = bytearray(b"left over")
    encode_line(record, buffer)
    return bytes(buffer)


@pytest.mark.parametrize("record", [call(), opened(), loss(odd=3)], ids=["call", "open", "loss"])
def test_a_record_is_one_line_that_reads_back_the_same(record):
    text = line(record)
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1
    assert msgspec.json.decode(text, type=CallRecord | OpenRecord | LossRecord) == record


def test_text_that_is_no_unicode_is_replaced_and_the_call_kept():
    text = line(call(path="/v1/\udcff/x"))
    assert msgspec.json.decode(text, type=CallRecord).path == "/v1/?/x"


def test_figures_of_any_size_are_kept():
    record = call(1, attempt(usage=Usage(input_tokens=10**30, units={"characters": Decimal("1E-40")})))
    assert msgspec.json.decode(line(record), type=CallRecord) == record


def test_what_is_no_record_is_a_type_error():
    with pytest.raises(TypeError):
        line(object())
