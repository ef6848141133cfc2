"""A receiver of POSTs in a thread of its own: what came, and what is answered next."""

import http.server
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.fakes.certificates import Pair


class Posted(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class Hook:
    """The receiver; without further orders it answers 204."""

    def __init__(self) -> None:
        self.url = ""
        self.posted: list[Posted] = []
        self.connections = 0
        self.answers: deque[tuple[int, dict[str, str]] | str] = deque()
        """Status and headers of the next answers; `hang` gives none, `cut` ends the connection instead of one, and
        `last` ends it after a good one without saying so."""
        self.over = threading.Event()

    def next(self, *answers: int | tuple[int, dict[str, str]] | str) -> None:
        """The answers to the next requests."""
        self.answers.extend((answer, {}) if isinstance(answer, int) else answer for answer in answers)


@contextmanager
def hook_receiver(tls: Pair | None = None, port: int = 0) -> Iterator[Hook]:
    """A receiver that listens until the block ends."""
    hook = Hook()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            hook.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            hook.posted.append(Posted(self.path, headers, body))
            answer = hook.answers.popleft() if hook.answers else (204, {})
            if answer == "hang":
                hook.over.wait(30)
            if isinstance(answer, str) and answer != "last":
                self.close_connection = True
                return
            status, more = answer if isinstance(answer, tuple) else (200, {})
            self.send_response(status)
            content = b"" if status == 204 else b"thank you"
            for name, value in {"content-length": str(len(content)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = answer == "last"

        def log_message(self, *_: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that leaves is what some tests are about."""

    server = Server(("127.0.0.1", port), Handler)
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    hook.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hook
    finally:
        hook.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
