"""Sessions of the HTTP interface: what a client left behind with SET, USE and temporary tables, until it times out.

A session has a connection of its own only once something was left behind on it. Until then every request of it gets a
fresh connection like any other, and no setting of a request can stick to a session because nothing sticks to nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from exporters.store.engine import Connection
from exporters.store.errors import INVALID_SESSION_TIMEOUT, SESSION_IS_LOCKED, SESSION_NOT_FOUND, StoreError
from exporters.store.users import User

DEFAULT_TIMEOUT_S = 60.0
"""A real server's `default_session_timeout`."""
MOST_TIMEOUT_S = 3600.0
"""A real server's `max_session_timeout`."""


class Link(Protocol):
    """The connection that a request came on."""

    def is_closing(self) -> bool:
        """True once it is closed."""


@dataclass(frozen=True, slots=True)
class SessionWish:
    """What a request says about its session."""

    name: str
    timeout_s: float = DEFAULT_TIMEOUT_S
    must_exist: bool = False
    opens_client: bool = False
    """True if a client has started on this connection."""
    link: Link | None = None


@dataclass(slots=True)
class Session:
    """One session; `connection` is None while there is nothing to keep."""

    key: tuple[str, str]
    connection: Connection | None = None
    kept_settings: dict[str, bytes] = field(default_factory=dict)
    """The settings in which the connection differs from the engine's defaults, as SQL literals."""
    database: str = ""
    links: set[Link] = field(default_factory=set)
    """The connections that the session was used on."""
    busy: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S
    expires_at_s: float = 0.0


class Sessions:
    """The sessions of all users. One request at a time in each, as in a real server."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that only grow."""
        self._clock = clock
        self._sessions: dict[tuple[str, str], Session] = {}

    def acquire(self, user: User, wish: SessionWish) -> Session:
        """Take a session for one request. Raises StoreError: it does not exist and should, it is in use.

        A new client finds no tables and settings of one that is gone: a program that names its session and is started
        again within the minute would otherwise fail on its own leftovers.
        """
        key = (user.name, wish.name)
        session = self._sessions.get(key)
        if session is not None and not session.busy and self._is_over(session, wish):
            self._forget(session)
            session = None
        if session is None:
            if wish.must_exist:
                raise StoreError(SESSION_NOT_FOUND, f"Session {wish.name} not found")
            session = self._sessions[key] = Session(key)
        if session.busy:
            raise StoreError(SESSION_IS_LOCKED, f"Session {wish.name} is locked by a concurrent client")
        session.busy, session.timeout_s = True, wish.timeout_s
        session.links = {link for link in session.links if not link.is_closing()}
        if wish.link is not None:
            session.links.add(wish.link)
        return session

    def release(self, session: Session) -> None:
        """Give a session back; its time runs from now."""
        session.busy, session.expires_at_s = False, self._clock() + session.timeout_s

    def drop(self, session: Session) -> None:
        """Forget a session whose connection cannot be trusted any more."""
        self._forget(session)

    def sweep(self) -> None:
        """Forget what has timed out."""
        now = self._clock()
        for session in [one for one in self._sessions.values() if not one.busy and one.expires_at_s <= now]:
            self._forget(session)

    def close(self) -> None:
        """Forget all. Nothing may be at work any more."""
        for session in list(self._sessions.values()):
            self._forget(session)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def _is_over(self, session: Session, wish: SessionWish) -> bool:
        gone = all(link.is_closing() for link in session.links)
        return session.expires_at_s <= self._clock() or (wish.opens_client and gone)

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session.key, None)
        if session.connection is not None:
            session.connection.close()
            session.connection = None


def wish_of(name: str, timeout: str, check: str) -> SessionWish | None:
    """The parameters session_id, session_timeout and session_check. Raises StoreError on a timeout that is none."""
    if not name:
        return None
    try:
        timeout_s = float(timeout) if timeout else DEFAULT_TIMEOUT_S
    except ValueError:
        timeout_s = -1.0
    if not 0 <= timeout_s <= MOST_TIMEOUT_S:
        detail = f"Invalid session timeout {timeout[:20]!r}: it must be a number from 0 to {MOST_TIMEOUT_S:.0f} seconds"
        raise StoreError(INVALID_SESSION_TIMEOUT, detail)
    return SessionWish(name, timeout_s, must_exist=check == "1")
