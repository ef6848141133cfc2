import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.facts import RequestFacts
from proxy.core.usage_request import UsageFilter, ask_for_usage

STREAM = RequestFacts(streaming=True)
ASKED = b'"stream_options":{"include_usage":true}'
WIRE = Path(os.environ.get("TAXIMETER_WIRE", Path(__file__).parents[3] / "../shared/wire"))


def facts_of(body):
    """What a reader of this body would say, as far as asking for usage needs it."""
    request = json.loads(body)
    options = request.get("stream_options")
    return RequestFacts(
        streaming=request.get("stream") is True,
        include_usage=options.get("include_usage") if isinstance(options, dict) else None,
        has_stream_options=options is not None,
    )


# Asking


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b'{"stream":true}', b"{" + ASKED + b',"stream":true}'),
        (b' \r\n{ "stream" : true }\n', b" \r\n{" + ASKED + b', "stream" : true }\n'),
        (
            b'{"stream":true,"stream_options":{"include_usage":false}}',
            b'{"stream":true,"stream_options":{"include_usage":true}}',
        ),
        (
            b'{"stream_options" : { "include_obfuscation" : false , "include_usage" : null } ,"stream":true}',
            b'{"stream_options" : { "include_obfuscation" : false , "include_usage" : true } ,"stream":true}',
        ),
        (
            b'{"stream":true,"stream_options":{"include_obfuscation":false}}',
            b'{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}',
        ),
        (b'{"stream":true,"stream_options":{}}', b'{"stream":true,' + ASKED + b"}"),
        (b'{"stream":true,"stream_options":null}', b'{"stream":true,' + ASKED + b"}"),
    ],
)
def test_the_option_is_put_in_and_every_other_byte_stays(body, edited):
    assert ask_for_usage(body, facts_of(body)) == edited


@pytest.mark.parametrize(
    "look_alike",
    [
        {"tools": [{"function": {"parameters": {"stream_options": {"include_usage": False}}}}]},
        {"messages": [{"content": 'set "stream_options":{"include_usage":false} in the body'}]},
        {"messages": [{"content": '\\"stream_options"'}], "metadata": {"k": "stream_options"}},
        {"user": "data_sources", "metadata": {"data_sources": "x"}},
    ],
)
def test_look_alikes_in_strings_and_nested_objects_are_left_alone(look_alike):
    for body in (json.dumps({"stream": True, **look_alike}), json.dumps({**look_alike, "stream": True}, indent=1)):
        edited = ask_for_usage(body.encode(), facts_of(body))
        assert edited == body.replace("{", "{" + ASKED.decode() + ",", 1).encode()


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (b'{"stream":false}', RequestFacts(streaming=False)),
        (b'{"stream":true,' + ASKED + b"}", RequestFacts(streaming=True, include_usage=True, has_stream_options=True)),
        (b'{"stream":true}', RequestFacts(streaming=True, unread="not_json")),
        (b'{"stream":true,"stream_options":{},"stream_options":{}}', STREAM),
        (b'{"stream":true,"stream_options":{"include_usage":false,"include_usage":false}}', STREAM),
        (b'{"stream":true,"stream_options":{"include\\u005fusage":false}}', STREAM),
        (b'{"stream":true,"stream\\u005foptions":{}}', RequestFacts(streaming=True, has_stream_options=True)),
        (b'{"stream":true,"stream_options":[]}', STREAM),
        (b'{"stream":true,"stream_options":"x"}', STREAM),
        (b'{"stream":true,"stream_options":{"include_usage":0}}', STREAM),
        (b'{"stream":true,"stream_options":{"continuous_usage_stats":true}}', STREAM),
        (b'{"stream":true,"data_sources":[{"type":"azure_search"}]}', STREAM),
        (b'{"stream":true,"stream_options":', STREAM),
        (b"[]", STREAM),
        (b"", STREAM),
        (b"\xef\xbb\xbf{}", STREAM),
        ('{"stream":true}'.encode("utf-16"), STREAM),
    ],
)
def test_a_body_that_cannot_be_asked_safely_goes_as_it_is(body, facts):
    assert ask_for_usage(body, facts) is None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.just('"stream_options":{'),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["stream_options", "data_sources"]), inner, max_size=3)
    ),
    max_leaves=8,
)
OPTIONS = st.none() | st.fixed_dictionaries(
    {}, optional={"include_usage": st.sampled_from([False, None]), "include_obfuscation": st.booleans()}
)


@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda key: key not in {"stream", "stream_options", "data_sources"}), JSON_VALUES
    ),
    st.booleans(),
    OPTIONS,
    st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}]),
)
def test_the_server_reads_the_same_request_with_usage_asked_for(request_, has_options, options, style):
    request_ = {**request_, "stream": True, **({"stream_options": options} if has_options else {})}
    body = json.dumps(request_, **style).encode()
    edited = ask_for_usage(body, facts_of(body))

    assert edited is not None
    expected = {**request_, "stream_options": {**(options or {}), "include_usage": True}} if has_options else request_
    assert json.loads(edited) == {"stream_options": {"include_usage": True}, **expected}


@given(st.binary(max_size=50) | st.text('{}[]",:\\ stream_option', max_size=40).map(str.encode))
def test_no_body_is_an_error(body):
    for one in (body, b'{"stream_options":' + body):
        edited = ask_for_usage(one, STREAM)
        assert edited is None or b'"include_usage":true' in edited


# Hiding that we asked


def seen(stream, cuts=(), **options):
    """What the app gets of a stream that arrives in pieces."""
    usage_filter = UsageFilter(**options)
    edges = [0, *sorted(cuts), len(stream)]
    pieces = [usage_filter.feed(stream[start:end]) for start, end in itertools.pairwise(edges)]
    return b"".join([*pieces, usage_filter.finish()])


CONTENTS = st.text(max_size=12) | st.sampled_from(
    ['","usage":null}', '{"usage":null,', "data: [DONE]\n\n", '\\"', "好🚕"]
)
CHOICES = st.lists(
    st.fixed_dictionaries(
        {"index": st.integers(0, 3), "delta": st.fixed_dictionaries({"content": CONTENTS})},
        optional={"usage": st.none(), "finish_reason": st.sampled_from([None, "stop"])},
    ),
    min_size=1,
    max_size=2,
)
MEMBERS = st.fixed_dictionaries(
    {"id": st.just("c1"), "choices": CHOICES},
    optional={"model": CONTENTS, "obfuscation": CONTENTS, "usages": st.none(), "x_groq": st.just({"usage": None})},
)
FILTERED_PROMPT = st.just({"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]})
MODERATION = st.just({"id": "c1", "choices": [], "moderation": {"input": {}}})
FIGURES = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 99), "completion_tokens": st.integers(0, 99)},
    optional={"total_tokens": st.integers(0, 99), "prompt_tokens_details": st.none()},
)
STYLES = st.sampled_from(
    [{"separators": (",", ":")}, {}, {"ensure_ascii": False}, {"separators": (" , ", " : ")}, {"indent": 1}]
)
OTHER_EVENTS = st.sampled_from(
    [
        ": keep-alive\n\n",
        ": a comment\n",
        "\n",
        "event: ping\ndata: {}\n\n",
        "data: not json usage\n\n",
        'data: {"usage":nul\n\n',
    ]
)


@st.composite
def stream_pairs(draw):
    """The same stream twice: as it comes un-asked, and as it comes when usage was asked for."""
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    style = draw(STYLES)
    field = draw(st.sampled_from(["data: ", "data:"]))
    plain, asked = [], []

    def event(members):
        text = json.dumps(members, **style)
        return "".join(f"{field}{line}\n" for line in text.split("\n")) + "\n"

    for _ in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            other = draw(OTHER_EVENTS)
            plain.append(other)
            asked.append(other)
        members = draw(MEMBERS | FILTERED_PROMPT | MODERATION)
        place = draw(st.integers(1, len(members)))
        items = list(members.items())
        plain.append(event(members))
        asked.append(event(dict([*items[:place], ("usage", None), *items[place:]])))
    comment = draw(st.sampled_from(["", ": keep-alive\n"]))
    plain.append(comment)
    asked.append(comment + event({"id": "c1", "choices": [], "usage": draw(FIGURES), "obfuscation": draw(CONTENTS)}))
    done = draw(st.sampled_from(["data: [DONE]\n\n", "data: [DONE]\n", "data: [DONE]", ""]))
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return [(mark + "".join([*lines, done]).replace("\n", line_end)).encode() for lines in (plain, asked)]


@given(stream_pairs(), st.lists(st.integers(0, 2000), max_size=6))
def test_the_app_sees_the_stream_that_it_would_have_seen_unasked(pair, cuts):
    plain, asked = pair

    assert seen(asked, [cut for cut in cuts if cut < len(asked)]) == plain
    assert seen(asked, range(len(asked))) == plain


@given(stream_pairs(), st.lists(st.integers(0, 2000), max_size=6))
def test_a_stream_that_nobody_asked_for_usage_is_not_changed(pair, cuts):
    plain, _ = pair

    assert seen(plain, [cut for cut in cuts if cut < len(plain)]) == plain


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_a_stream_of_anything_passes(stream, cuts):
    stream = stream.replace(b"usage", b"")

    assert seen(stream, [cut for cut in cuts if cut < len(stream)]) == stream


def test_a_complete_event_is_passed_on_at_once():
    usage_filter = UsageFilter()

    assert usage_filter.feed(b'data: {"choices":[{}],"usage":null}\n\ndata: {"x') == b'data: {"choices":[{}]}\n\n'
    assert usage_filter.feed(b'":1}\n\n') == b'data: {"x":1}\n\n'
    assert usage_filter.feed(b": waiting\n\n") == b": waiting\n\n"


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"index":0}],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n',
        b'data: {"choices":[],"usage":{"total_tokens":0,"total_characters":0}}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":1},"error":{"code":502}}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":1},"prompt_filter_results":[{}]}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":1},"base_resp":{"status_code":1027}}\n\n',
        b'data: {"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n',
        b'data: {"choices":[],"usage":"prompt_tokens"}\n\n',
        b'data: ["usage"]\n\n',
        b'data: {"a":1,"usage":null}}\n\n',
        b'data: {"a":1,"usage":null,"usage":null,"b":2}\n\n',
        b'data: "usage":null}\n\n',
        b'event: x\nid: 7,"usage":null}\n\n',
    ],
)
def test_what_asking_did_not_add_stays(event):
    assert seen(event) == event


@pytest.mark.parametrize(
    ("event", "left"),
    [
        (b'data: {"choices":[],"usage":{"total_tokens":73},"base_resp":{"status_code":0}}\n\n', b""),
        (b'data: {"choices": [ ],"usage":{"prompt_tokens":0,"completion_tokens":0}}\n\n', b""),
        (b'data: {"choices":null,"usage":{"prompt_tokens":1},"prompt_filter_results":[]}\n\n', b""),
        (b'event: x\nid: 1\ndata: {"choices":[],\ndata: "usage":{"prompt_tokens":1}}\n\n', b""),
        (b': wait\ndata: {"choices":[],"usage":{"prompt_tokens":1}}', b": wait\n"),
        (b'\xef\xbb\xbfdata: {"choices":[],"usage":{"prompt_tokens":1}}\n\n', b"\xef\xbb\xbf"),
        (b'data: {"usage":null}\n\n', b"data: {}\n\n"),
        (b'data: {"usage" : null , "a":1}  \n\n', b'data: {"a":1}  \n\n'),
        (b': "usage":null\ndata: {"a":1, "usage":null}\n\n', b': "usage":null\ndata: {"a":1}\n\n'),
    ],
)
def test_what_asking_added_goes(event, left):
    assert seen(event) == left
    assert seen(event, range(len(event))) == left


def test_a_provider_that_always_writes_null_keeps_it_and_loses_only_the_usage_chunk():
    null = b'data: {"choices":[{"index":0}],"usage":null}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'

    assert seen(null + usage + b"data: [DONE]\n\n", keeps_null_usage=True) == null + b"data: [DONE]\n\n"


@pytest.mark.parametrize(("case", "kept"), [("oai-stream-tool-usage", 0), ("mm-chat-stream-usage-last", 1)])
def test_recorded_streams_lose_their_usage_and_nothing_else(case, kept):
    if not (WIRE / case).is_dir():
        pytest.skip("the corpus of recorded traffic is not on this machine; set TAXIMETER_WIRE")
    stream = (WIRE / case / "response.sse").read_bytes()
    events = stream.split(b"\n\n")
    usage_chunks = [event for event in events if b'"choices":[],' in event]
    unasked = b"\n\n".join(event for event in events if event not in usage_chunks)
    if not kept:
        unasked = unasked.replace(b',"usage":null', b"")

    assert len(usage_chunks) == 1
    assert seen(stream, range(len(stream)), keeps_null_usage=bool(kept)) == unasked


def test_an_event_nested_beyond_reading_passes_as_it_came():
    event = b'data: {"choices":[],"usage":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001 + b"\n\n"

    assert UsageFilter().feed(event) == event
