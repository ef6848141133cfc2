"""What sessions keep, and for how long."""

import pytest

from exporters.store.errors import StoreError
from exporters.store.sessions import Sessions, SessionWish, wish_of
from exporters.store.users import User

USER = User("meter", reads_only=False)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Link:
    closed = False

    def is_closing(self):
        return self.closed


class Connection:
    closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(clock):
    return Sessions(clock)


def used(sessions, wish, user=USER):
    session = sessions.acquire(user, wish)
    session.connection = session.connection or Connection()
    sessions.release(session)
    return session


def test_a_session_is_kept_until_its_time_is_over(sessions, clock):
    first = used(sessions, SessionWish("a", timeout_s=10.0))
    clock.now += 9.9
    assert used(sessions, SessionWish("a", timeout_s=10.0)) is first
    clock.now += 10.0

    assert used(sessions, SessionWish("a")) is not first
    assert first.key not in {one.key for one in sessions if one is first}


def test_the_connection_of_a_session_that_is_over_is_closed(sessions, clock):
    connection = used(sessions, SessionWish("a", timeout_s=1.0)).connection
    clock.now += 2.0
    sessions.sweep()

    assert connection.closed
    assert list(sessions) == []


def test_sessions_belong_to_their_user(sessions):
    assert used(sessions, SessionWish("a")) is not used(sessions, SessionWish("a"), User("reader", reads_only=True))


def test_a_session_serves_one_request_at_a_time(sessions):
    session = sessions.acquire(USER, SessionWish("a"))

    with pytest.raises(StoreError) as caught:
        sessions.acquire(USER, SessionWish("a"))
    assert caught.value.name == "SESSION_IS_LOCKED"
    sessions.release(session)
    assert sessions.acquire(USER, SessionWish("a")) is session


def test_a_busy_session_does_not_time_out(sessions, clock):
    session = sessions.acquire(USER, SessionWish("a", timeout_s=1.0))
    clock.now += 100.0
    sessions.sweep()
    sessions.release(session)

    assert sessions.acquire(USER, SessionWish("a")) is session


def test_session_check_wants_a_session_that_exists(sessions):
    with pytest.raises(StoreError) as caught:
        sessions.acquire(USER, SessionWish("a", must_exist=True))

    assert caught.value.name == "SESSION_NOT_FOUND"


@pytest.mark.parametrize(
    ("gone", "opens_client", "kept"), [(True, True, False), (True, False, True), (False, True, True)]
)
def test_a_new_client_finds_nothing_of_one_that_is_gone(sessions, gone, opens_client, kept):
    old, new = Link(), Link()
    first = used(sessions, SessionWish("a", link=old))
    old.closed = gone

    assert (used(sessions, SessionWish("a", link=new, opens_client=opens_client)) is first) is kept


def test_closing_closes_every_connection(sessions):
    connections = [used(sessions, SessionWish(name)).connection for name in "abc"]
    sessions.close()

    assert all(connection.closed for connection in connections)


@pytest.mark.parametrize(
    ("parameters", "wish"),
    [
        (("", "", ""), None),
        (("a", "", ""), SessionWish("a")),
        (("a", "5", "1"), SessionWish("a", 5.0, must_exist=True)),
        (("a", "0", "0"), SessionWish("a", 0.0)),
    ],
)
def test_the_parameters_of_a_session(parameters, wish):
    assert wish_of(*parameters) == wish


@pytest.mark.parametrize("timeout", ["-1", "3601", "x", "nan", "inf"])
def test_a_timeout_that_is_none_is_refused(timeout):
    with pytest.raises(StoreError, match="Invalid session timeout"):
        wish_of("a", timeout, "")
