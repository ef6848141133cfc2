"""The usage that only the proxy asked for is taken off, in whatever coding the stream has."""

import pytest

from proxy.core.coding import Decoder, Encoder
from proxy.editing import UsageEditor

ASKED = [
    b'data: {"choices":[{"delta":{"content":"hi"}}],"usage":null}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
]
UNASKED = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("coding", ["", "gzip", "deflate", "br", "zstd", "gzip, br"])
def test_the_app_decodes_what_it_would_have_seen(coding: str):
    editor = UsageEditor(coding, keeps_null_usage=False)
    packer = Encoder(coding) if coding else None
    unpacker = Decoder(coding, 10_000) if coding else None
    seen = b""

    for event in ASKED:
        out = editor.feed(packer.feed(event) if packer else event)
        seen += unpacker.feed(out) if unpacker else out
    out = editor.finish()
    seen += unpacker.feed(out) + unpacker.finish() if unpacker else out

    assert seen == UNASKED
    assert not editor.failed


def test_each_event_goes_on_as_soon_as_it_is_complete():
    editor, packer, unpacker = UsageEditor("gzip", keeps_null_usage=True), Encoder("gzip"), Decoder("gzip", 1000)

    assert unpacker.feed(editor.feed(packer.feed(ASKED[0]))) == ASKED[0]


def test_a_damaged_coding_is_told():
    editor = UsageEditor("gzip", keeps_null_usage=False)
    editor.feed(b"no gzip at all, whatever the header says")

    assert editor.failed
