"""What a call uses beside tokens is never read as less than a provider could bill."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bounds import money_bound, token_bound, unit_bound
from policies.compiled import ModelRate
from policies.facts import CallFacts
from policies.unit_bounds import READERS, read_units
from proxy.core.record import Caller

USD = 10**9
CLIPS = ModelRate(
    id="v",
    provider="p",
    models=("m",),
    currency="USD",
    units_nano={
        "videos_768p_6s": 280_000 * USD,
        "videos_768p_10s": 560_000 * USD,
        "videos_1080p_6s": 490_000 * USD,
    },
)
SECONDS = ModelRate(
    id="h",
    provider="p",
    models=("m",),
    currency="USD",
    units_nano={"video_seconds_768p": 80_000 * USD, "video_seconds_2k": 130_000 * USD, "input_images": 40_000 * USD},
)
SPEECH = ModelRate(
    id="s",
    provider="p",
    models=("m",),
    currency="USD",
    units_nano={"characters": 100 * USD, "voices_created": 1_500_000 * USD},
)


def read(operation, body, content_type="application/json"):
    return read_units(operation, body if isinstance(body, bytes) else json.dumps(body).encode(), content_type)


def bound(operation, rate, body):
    """In micro-units of the currency."""
    reading = read(operation, body)
    call = CallFacts(
        provider="p", operation=operation, request=reading.request, caller=Caller(), inputs=reading.inputs, body_bytes=9
    )
    nano = money_bound(call, token_bound(call, rate), rate)
    return None if nano is None else nano / 1000


@pytest.mark.parametrize(
    ("operation", "body", "units", "unknown"),
    [
        ("speech", {"model": "m", "text": "hello"}, {"characters": 5}, ()),
        ("speech", {"model": "m", "input": "hello"}, {"characters": 5}, ()),
        ("speech", {"model": "m", "text": "a你好"}, {"characters": 5}, ()),
        ("speech", {"model": "m", "text_file_id": 7}, {}, ("characters",)),
        ("image", {"model": "m"}, {"images": 1}, ()),
        ("image", {"model": "m", "n": 4}, {"images": 4}, ()),
        ("image", {"model": "m", "n": "4"}, {"images": 4}, ()),
        ("image", {"model": "m", "n": [4]}, {}, ("images",)),
        ("image", {"model": "m", "n": -1}, {}, ("images",)),
        ("image", {"model": "m", "n": 1e300}, {}, ("images",)),
        ("music", {"model": "m", "lyrics": "la"}, {"songs": 1}, ()),
        ("transcription", {"model": "asr-1.0"}, {"audio_seconds": 500}, ()),
        ("transcription", {"model": "whisper-1"}, {}, ("audio_seconds",)),
        ("lyrics", {"prompt": "la"}, {}, ()),
    ],
)
def test_the_body_says_how_much_is_used(operation, body, units, unknown):
    inputs = read(operation, body).inputs
    assert inputs.units == {name: Decimal(quantity) for name, quantity in units.items()}
    assert inputs.unknown_units == unknown


@pytest.mark.parametrize(
    ("body", "rate", "cost"),
    [
        ({"duration": 6, "resolution": "768P"}, CLIPS, 280_000),
        ({"duration": 10, "resolution": "768P"}, CLIPS, 560_000),
        ({"duration": 6}, CLIPS, 490_000),
        ({"resolution": "768P"}, CLIPS, 560_000),
        ({}, CLIPS, 560_000),
        ({"duration": 10, "resolution": "1080P"}, CLIPS, None),
        ({"duration": 5, "resolution": "2K"}, SECONDS, 650_000),
        ({"duration": 5}, SECONDS, 650_000),
        ({"duration": 5, "resolution": "768P"}, SECONDS, 400_000),
        ({"resolution": "2K"}, SECONDS, None),
        ({"duration": 5, "first_frame_image": "data:x"}, SECONDS, 690_000),
        ({"duration": 5, "reference_images": ["a"]}, SECONDS, None),
        ({"duration": 6, "resolution": "768P", "subject_reference": ["a"]}, CLIPS, 280_000),
    ],
)
def test_a_clip_that_does_not_state_its_size_is_the_dearest(body, rate, cost):
    assert bound("video", rate, {"model": "m", "prompt": "a cat", **body}) == cost


def test_speech_costs_its_characters_and_no_voice():
    assert bound("speech", SPEECH, {"model": "m", "text": "x" * 1000}) == 100_000
    assert bound("voice_clone", SPEECH, {"model": "m", "text": "x"}) == 1_500_100


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","text":"' + b"x" * 100 + b'","text":"x"}',
        b'{"model":"m","text":"x","Text":"' + b"x" * 100 + b'"}',
        b'{"model":"m","\\u0074ext":"' + b"x" * 100 + b'","text":"x"}',
        b'{"model":"m","text":["' + b"x" * 100 + b'"]}',
    ],
)
def test_what_may_be_read_otherwise_is_bounded_by_the_length_of_the_body(body):
    assert read("speech", body).inputs.units["characters"] == len(body)


@pytest.mark.parametrize("text", ["it's", "<b>", 'the word "text"', "text", "\u00e9"])
def test_texts_that_look_like_names_or_are_escaped_are_no_duplicates(text):
    escaped = json.dumps({"model": "m", "text": text}).replace("'", "\\u0027").encode()
    reading = read("speech", escaped)
    assert reading.request.model == "m"
    assert reading.inputs.units["characters"] <= 2 * len(text)


def test_a_picture_that_may_be_read_otherwise_has_no_bound():
    assert read("image", b'{"model":"m","n":1,"n":9}').inputs.unknown_units == ("images",)
    assert read("image", b'{"model":"m","N":9}').inputs.unknown_units == ("images",)


def form(*fields):
    parts = [b'--xx\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % field for field in fields]
    return b"".join(parts) + b"--xx--\r\n"


def test_a_form_names_its_model_and_bounds_what_takes_only_short_sound():
    body = form((b"file", b'; filename="a.wav"', b"RIFF" * 100), (b"model", b"", b"asr-1.0"))
    reading = read("transcription", body, "multipart/form-data; boundary=xx")
    assert reading.request.model == "asr-1.0"
    assert reading.inputs.units == {"audio_seconds": 500}
    twice = form((b"model", b"", b"asr-1.0"), (b"model", b"", b"whisper-1"))
    assert read("transcription", twice, "multipart/form-data; boundary=xx").inputs.unknown_units == ("audio_seconds",)
    assert read("image", body, "multipart/form-data; boundary=xx").inputs is None


def test_units_themselves_can_be_limited():
    reading = read("video", {"model": "m", "duration": 6})
    call = CallFacts(provider="p", operation="video", request=reading.request, caller=Caller(), inputs=reading.inputs)
    tokens = token_bound(call, CLIPS)
    assert unit_bound(call, tokens, "videos_1080p_6s") == 10**6
    assert unit_bound(call, tokens, "videos_1080p_10s") == 0
    assert unit_bound(call, tokens, "characters") == 0
    assert (tokens.input, tokens.output) == (0, 0)


def test_operations_without_a_reader_are_not_read():
    assert read("chat", {"model": "m"}) is None


@given(
    st.sampled_from(sorted(READERS)), st.binary(max_size=80), st.sampled_from(["", "multipart/form-data; boundary=x"])
)
def test_whatever_a_body_is_reading_it_never_fails(operation, body, content_type):
    assert read(operation, body, content_type) is not None


@given(st.text(max_size=60), st.booleans())
def test_no_character_is_missed_however_the_text_is_escaped(text, escaped):
    body = json.dumps({"model": "m", "text": text}, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    reading = read("speech", body)
    if reading.inputs is not None:
        billed = sum(1 if char.isascii() else 2 for char in text)
        assert reading.inputs.units["characters"] >= billed
