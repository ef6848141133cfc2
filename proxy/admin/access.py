"""Who may look at the console's data: everybody on loopback, elsewhere whoever has the admin token.

The token opens a session, which is a cookie that holds its own end and a signature made with the token: nothing is kept
here, a recorder that starts again knows the sessions of its predecessor, and a new token ends them all. The token is
never part of a URL. Every request is a GET that changes nothing outside the browser that asks.

Requests that a page of another site has its visitor's browser send are refused: they could learn nothing, but each
would be a query in the store.
"""

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable
from typing import Literal

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

COOKIE = "taximeter_session"
SESSION_S = 12 * 3600
"""A working day; then the token is asked for again."""
_PURPOSE = b"taximeter console session"
_OWN_SITES = frozenset({"same-origin", "none"})
"""`Sec-Fetch-Site` of our own page, and of an address that somebody typed."""

Verdict = Literal["in", "login", "closed", "foreign"]
"""`login`: a token is wanted; `closed`: there is none, and the port is open to others; `foreign`: see above."""


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """The rule of one admin port."""

    token: str = ""
    """The admin token; empty where none is configured."""
    host: str = "127.0.0.1"
    """The address that the port listens on."""
    now_s: Callable[[], float] = time.time

    def __repr__(self) -> str:
        """Without the token."""
        return f"Door(host={self.host!r}, token={'set' if self.token else 'none'})"

    def judge(self, request: web.Request) -> Verdict:
        """Whether a request may be answered."""
        if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITES:
            return "foreign"
        if not self.token:
            return "in" if is_loopback(self.host) else "closed"
        if self.fits(bearer(request)) or self.knows(request.cookies.get(COOKIE, "")):
            return "in"
        return "login"

    def fits(self, token: str) -> bool:
        """Whether somebody has the token, compared in a time that tells nothing."""
        return bool(self.token) and hmac.compare_digest(token.encode(), self.token.encode())

    def session(self) -> str:
        """A new session: when it ends, and a signature over that."""
        ends_at = str(int(self.now_s()) + SESSION_S)
        return f"{ends_at}.{self._signature(ends_at)}"

    def knows(self, session: str) -> bool:
        """Whether a session is one of ours that goes on."""
        ends_at, _, signature = session.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(ends_at).encode()):
            return False
        return int(ends_at) > self.now_s()

    def _signature(self, ends_at: str) -> str:
        key = hmac.digest(self.token.encode(), _PURPOSE, "sha256")
        return hmac.new(key, ends_at.encode(), hashlib.sha256).hexdigest()


_SAID: dict[Verdict, tuple[int, str]] = {
    "login": (401, "The admin token is wanted: log in on the page, or send Authorization: Bearer TOKEN."),
    "closed": (
        403,
        "Other machines can reach this port and there is no admin token: set admin_token, or listen on 127.0.0.1.",
    ),
    "foreign": (403, "A page of another site may not ask."),
}


def guard(door: Door, *, under: str, free: frozenset[str]) -> Middleware:
    """A middleware over the paths that begin with `under`, but for the `free` ones."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(under) or request.path in free:
            return await handler(request)
        verdict = door.judge(request)
        if verdict == "in":
            return await handler(request)
        status, said = _SAID[verdict]
        return problem(status, verdict, said)

    return check


def add_login(app: web.Application, door: Door, path: str) -> None:
    """`path`: takes the token and answers with a session. `path` with `logout` for `login` ends it."""

    async def login(request: web.Request) -> web.Response:
        if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITES:
            return problem(403, "foreign", _SAID["foreign"][1])
        if not door.fits(bearer(request)):
            return problem(401, "login", "That is not the admin token.")
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        response.set_cookie(
            COOKIE,
            door.session(),
            max_age=SESSION_S,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=request.headers.get("X-Forwarded-Proto", request.scheme) == "https",
        )
        return response

    async def logout(_: web.Request) -> web.Response:
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
        return response

    app.router.add_get(path, login, allow_head=False)
    app.router.add_get(path.replace("login", "logout"), logout, allow_head=False)


def problem(status: int, code: str, said: str) -> web.Response:
    """An answer that says what is wrong: a word for programs, a sentence for people."""
    body = msgspec.json.encode({"error": code, "message": said})
    return web.Response(
        body=body, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def bearer(request: web.Request) -> str:
    """The token of an `Authorization` header; empty where there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_loopback(host: str) -> bool:
    """Whether an address that is listened on can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
