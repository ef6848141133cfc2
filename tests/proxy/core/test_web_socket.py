"""Where frames end is known however the bytes are cut; a close frame is one that a real client understands."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.web_socket import POLICY_VIOLATION, Frames, close_frame


def frame(payload, mask):
    size = len(payload)
    length = (
        bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 2**16 else b"\x7f" + size.to_bytes(8)
    )
    head = bytes((0x82, length[0] | (0x80 if mask else 0))) + length[1:]
    return head + (b"abcd" if mask else b"") + payload


PAYLOADS = st.sampled_from([0, 1, 125, 126, 500, 2**16 - 1, 2**16, 70_000]).map(bytes)


@given(st.lists(st.tuples(PAYLOADS, st.booleans()), min_size=1, max_size=4), st.data())
def test_a_frame_ends_exactly_at_its_last_byte(parts, data):
    stream = b"".join(frame(*part) for part in parts)
    ends = {0}
    for part in parts:
        ends.add(max(ends) + len(frame(*part)))
    cuts = sorted(
        {*data.draw(st.lists(st.integers(0, len(stream)), max_size=6)), *ends, *(one - 1 for one in ends if one)}
    )
    frames, position = Frames(), 0
    for cut in cuts:
        frames.feed(stream[position:cut])
        position = cut
        assert frames.at_end == (cut in ends)


@given(st.text(max_size=200))
def test_a_close_frame_fits_and_its_reason_is_text(reason):
    data = close_frame(POLICY_VIOLATION, reason)

    assert (data[0], data[1], data[2:4]) == (0x88, len(data) - 2, b"\x03\xf0")
    assert data[1] <= 125
    assert reason.startswith(data[4:].decode())
