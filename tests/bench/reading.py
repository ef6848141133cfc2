"""How long reading takes: `python -m tests.bench.reading`. Figures in microseconds, the best of several rounds.

Reading happens beside the stream, after the bytes went out, but on the same core: it is part of what a call costs.
"""

import gzip
import timeit

from proxy.core.coding import Decoder, Encoder
from proxy.core.facts import AnswerHead
from proxy.core.sse import EventSplitter
from proxy.dialects import DIALECTS

EVENTS = AnswerHead(status=200, content_type="text/event-stream")
JSON = AnswerHead(status=200, content_type="application/json")
ROUNDS = 7

CHAT_CHUNK = (
    b'data: {"id":"chatcmpl-B1","object":"chat.completion.chunk","created":1790100000,"model":"gpt-5-2025-08-07",'
    b'"service_tier":"default","system_fingerprint":"fp_x","choices":[{"index":0,"delta":{"content":" hello"},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
)
CHUNKS = {
    "openai.chat": CHAT_CHUNK,
    "minimax.native": (
        b'data: {"id":"0664ee50f5a6417a9d34e5f60718293a","choices":[{"index":0,"delta":{"content":" is","role":""}}],'
        b'"created":1790000000,"model":"MiniMax-M2.5","object":"chat.completion.chunk","usage":{"total_tokens":0,'
        b'"total_characters":0},"input_sensitive":false,"output_sensitive":false,"input_sensitive_type":0}\n\n'
    ),
    "anthropic.messages": (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
        b'"text":"Look both"}}           \n\n'
    ),
    "openai.responses": (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"msg_1",'
        b'"output_index":0,"content_index":0,"delta":"The capital","logprobs":[],"sequence_number":4}\n\n'
    ),
    "gemini.generate": (
        b'data: {"candidates":[{"content":{"parts":[{"text":" capital is"}],"role":"model"},"index":0}],'
        b'"usageMetadata":{"promptTokenCount":15,"candidatesTokenCount":3,"totalTokenCount":18,"promptTokensDetails":'
        b'[{"modality":"TEXT","tokenCount":15}]},"modelVersion":"gemini-3-flash","responseId":"r3"}\r\n\r\n'
    ),
}
TEXT = b"x" * 1200
BODIES = {
    "openai.chat": (
        b'{"id":"chatcmpl-A1","object":"chat.completion","model":"gpt-5","choices":[{"index":0,"message":{"role":'
        b'"assistant","content":"' + TEXT + b'","refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":1513,'
        b'"completion_tokens":238,"total_tokens":1751,"prompt_tokens_details":{"cached_tokens":1408},'
        b'"completion_tokens_details":{"reasoning_tokens":192}}}'
    ),
    "anthropic.messages": (
        b'{"id":"msg_1","type":"message","model":"claude-sonnet-4-5","content":[{"type":"text","text":"'
        + TEXT
        + b'"}],'
        b'"stop_reason":"end_turn","usage":{"input_tokens":21,"cache_creation_input_tokens":30,'
        b'"cache_read_input_tokens":15,"output_tokens":12}}'
    ),
}
REQUEST = b'{"model":"gpt-5","stream":true,"max_tokens":99,"messages":[{"role":"user","content":"' + TEXT + b'"}]}'


def best_us(action, number=5000):
    """Microseconds per call, the best of several rounds."""
    return min(timeit.repeat(action, number=number, repeat=ROUNDS)) / number * 1e6


def main():
    """Measure and print."""
    splitter = EventSplitter()
    rows = [("split one chat chunk", best_us(lambda: splitter.feed(CHAT_CHUNK)))]
    for dialect in DIALECTS:
        reader = dialect.reader(EVENTS)
        chunk = CHUNKS[dialect.name]
        reader.feed(chunk)
        rows.append((f"read one event, {dialect.name}", best_us(lambda reader=reader, chunk=chunk: reader.feed(chunk))))
    for dialect in DIALECTS:
        body = BODIES.get(dialect.name)
        if body is not None:

            def whole(dialect=dialect, body=body):
                reader = dialect.reader(JSON)
                reader.feed(body)
                reader.finish(clean=True)

            rows.append((f"read a body of {len(body)} bytes, {dialect.name}", best_us(whole)))
    rows.append((f"read a request of {len(REQUEST)} bytes", best_us(lambda: DIALECTS[0].read_request(REQUEST))))
    packed = gzip.compress(BODIES["openai.chat"])
    rows.append(("gunzip that body", best_us(lambda: Decoder("gzip", 1 << 20).feed(packed))))
    for name in ("gzip", "br", "zstd"):
        encoder = Encoder(name)
        rows.append((f"code one chat chunk, {name}", best_us(lambda encoder=encoder: encoder.feed(CHAT_CHUNK))))
    for what, us in rows:
        print(f"{what:50} {us:7.2f} us")  # noqa: T201 - a script prints


if __name__ == "__main__":
    main()
