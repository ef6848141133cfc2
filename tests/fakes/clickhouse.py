"""A stand-in for the HTTP interface of a ClickHouse: it answers what it is told to and remembers what it was asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from proxy.settings import StoreSettings


class FakeClickHouse:
    """`answers` maps the beginning of a statement to status, headers and body."""

    def __init__(self, port: int) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[dict[str, Any]] = []
        self.settings = StoreSettings(
            url=f"http://127.0.0.1:{port}", user="rw", password="rw-pw", reader_password="ro-pw"
        )

    def answer(self, sql: str) -> tuple[int, dict[str, str], bytes]:
        """What is sent back for a statement."""
        for beginning, answer in self.answers.items():
            if sql.startswith(beginning):
                return answer
        return 404, {"X-ClickHouse-Exception-Code": "60"}, b"Code: 60. DB::Exception: there is no such table"


@contextmanager
def fake_clickhouse() -> Iterator[FakeClickHouse]:
    """One that runs on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sql = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fake.asked.append(
                {
                    "sql": sql,
                    "user": self.headers["X-ClickHouse-User"],
                    "key": self.headers["X-ClickHouse-Key"],
                    **{name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()},
                }
            )
            status, headers, body = fake.answer(sql)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = FakeClickHouse(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
