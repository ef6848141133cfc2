"""The instruments are tested before anything is measured with them."""

import json
import shutil
import socket
import sys
import threading
import time

import pytest

from tests.bench.tools import build_tools, run_load, running_mock

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the tools need Linux"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="the tools need a C compiler"),
]


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    return build_tools(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def port(tools):
    with running_mock(tools) as port:
        yield port


@pytest.fixture
def body(tmp_path):
    file = tmp_path / "body.json"
    file.write_text(json.dumps({"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "x" * 900}]}))
    return file


def ask(port, path, request=b"{}", *, headers=b"", size=None):
    """One request over a socket of its own; the whole answer, head and body."""
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s" % (path.encode(), headers)
    if size is None:
        head += b"Content-Length: %d\r\n" % len(request)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head + b"\r\n" + request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return answer.partition(b"\r\n\r\n")[::2]


def decoded(body):
    """A body without its chunked coding."""
    out = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        out, body = out + rest[:length], rest[length + 2 :]
        if not length:
            return out
    raise AssertionError("the body has no end")


@pytest.mark.parametrize(
    ("path", "usage"),
    [
        ("/v1/chat/completions", {"prompt_tokens": 210, "completion_tokens": 330}),
        ("/anthropic/v1/messages", {"input_tokens": 146, "output_tokens": 330}),
        ("/v1/text/chatcompletion_v2", {"prompt_tokens": 210, "completion_tokens": 330}),
    ],
)
@pytest.mark.parametrize("size", [700, 16384, 5_000_000])
def test_a_whole_answer_is_json_of_the_size_that_was_asked_for(port, path, usage, size):
    _, answer = ask(port, f"{path}?bytes={size}")
    assert len(answer) == size
    assert usage.items() <= json.loads(answer)["usage"].items()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/text/chatcompletion_v2"])
def test_a_stream_has_its_pieces_each_with_the_time_at_which_it_was_sent(port, path):
    before = time.monotonic_ns()
    head, answer = ask(port, f"{path}?chunks=5&gap_us=2000")
    after = time.monotonic_ns()
    assert b"text/event-stream" in head
    sent = [int(mark[:20]) for mark in decoded(answer).split(b"sent_ns=")[1:]]
    assert len(sent) == 5
    assert all(at_ns - before >= (number + 1) * 2_000_000 for number, at_ns in enumerate(sent))
    assert sent[-1] < after
    events = [line.partition(b"data: ")[2] for line in decoded(answer).splitlines() if line.startswith(b"data: ")]
    assert all(json.loads(event) for event in events if event != b"[DONE]")


def test_usage_comes_at_the_end_of_a_stream_only_when_it_is_asked_for(port):
    path = "/v1/chat/completions?chunks=1"
    assert b'"usage"' not in decoded(ask(port, path)[1])
    assert b'"usage"' in decoded(ask(port, path, b'{"stream_options":{"include_usage":true}}')[1])


def test_an_error_can_be_ordered(port):
    head, answer = ask(port, "/v1/messages?status=529&chunks=3")
    assert head.startswith(b"HTTP/1.1 529 ")
    assert "error" in json.loads(answer)


def test_a_request_in_chunks_is_read_to_its_end(port):
    request = b"3;a=b\r\n{ }\r\n0\r\nTrailer: x\r\n\r\n"
    head, _ = ask(port, "/v1/messages", request, headers=b"Transfer-Encoding: chunked\r\n", size=0)
    assert head.startswith(b"HTTP/1.1 200 ")


def test_a_closed_loop_counts_what_it_did(tools, port, body):
    found = run_load(
        tools, f"127.0.0.1:{port}/v1/chat/completions?bytes=1500", body, "--seconds", "0.3", "--warmup", "0.1"
    )
    assert found["calls"] > 100
    assert found["latency_us"]["count"] == found["calls"]
    assert found["latency_us"]["p50"] <= found["latency_us"]["p99"] <= found["latency_us"]["max"]
    assert not any(found["failed"].values())


def test_a_rate_is_kept_and_waiting_counts(tools, port, body):
    # One connection and 20 ms an answer serve 50 calls a second, and 100 are due: the later, the longer the wait.
    url = f"127.0.0.1:{port}/v1/chat/completions?chunks=1&gap_us=20000"
    found = run_load(
        tools, url, body, "--rate", "100", "--connections", "1", "--seconds", "0.5", "--warmup", "0", "--pieces", "1"
    )
    assert found["calls"] == 50
    assert 400_000 < found["latency_us"]["max"] < 2_000_000
    assert found["latency_us"]["mean"] > 150_000


def test_streams_are_counted_piece_by_piece(tools, port, body):
    url = f"127.0.0.1:{port}/v1/messages?chunks=10&gap_us=5000"
    found = run_load(
        tools,
        url,
        body,
        "--connections",
        "20",
        "--seconds",
        "0.4",
        "--warmup",
        "0.1",
        "--pieces",
        "10",
        "--ramp",
        "0.05",
    )
    assert not any(found["failed"].values())
    assert found["piece_delay_us"]["count"] > 20 * 10
    assert 0 < found["piece_delay_us"]["p50"] < 50_000


def test_a_piece_that_was_held_back_is_seen(tools, body):
    """A server of ours that keeps a piece until the next one is there."""
    piece = b"data: x sent_ns=%020d\n\n"

    def serve(listener):
        connection, _ = listener.accept()
        with connection:
            while request := connection.recv(65536):
                while not request.endswith(b"}"):
                    request += connection.recv(65536)
                two = piece % time.monotonic_ns() + piece % time.monotonic_ns()
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(two)
                connection.sendall(head + two)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        url = f"127.0.0.1:{listener.getsockname()[1]}/"
        found = run_load(
            tools,
            url,
            body,
            "--connections",
            "1",
            "--seconds",
            "0.2",
            "--warmup",
            "0",
            "--pieces",
            "2",
            "--timeout",
            "2",
        )
        thread.join(5)
    assert found["calls"] > 0
    assert abs(found["held"] - found["calls"]) <= 1  # the clock is read for each: one may fall out of the window


@pytest.mark.parametrize(
    ("path", "options", "reason"),
    [
        ("/v1/messages?status=500", (), "status"),
        ("/v1/messages?chunks=3", ("--pieces", "4"), "short"),
        ("/v1/messages?chunks=1&gap_us=3000000", ("--timeout", "0.1"), "timeout"),
    ],
)
def test_failures_are_counted_by_reason(tools, port, body, path, options, reason):
    found = run_load(tools, f"127.0.0.1:{port}{path}", body, *options, "--seconds", "0.3", "--warmup", "0")
    assert found["failed"][reason] > 0
    assert sum(found["failed"].values()) == found["failed"][reason]
    assert found["calls"] == 0


def test_nobody_there_is_a_failure_and_not_a_busy_loop(tools, body):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = run_load(
        tools, f"127.0.0.1:{port}/", body, "--connections", "2", "--seconds", "0.5", "--warmup", "0", "--timeout", "1"
    )
    assert 2 <= sum(found["failed"].values()) < 50
    assert found["calls"] == 0
