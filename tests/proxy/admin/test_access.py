import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from proxy.admin.access import COOKIE, SESSION_S, Door, add_login, guard, is_loopback

TOKEN = "a-token-of-the-operator"


def app_of(door):
    app = web.Application(middlewares=[guard(door, under="/api/", free=frozenset({"/api/login", "/api/logout"}))])

    async def secret(_):
        return web.json_response({"spend": "1.23"})

    app.router.add_get("/api/spend", secret)
    app.router.add_get("/page", secret)
    add_login(app, door, "/api/login")
    return TestClient(TestServer(app))


@pytest.mark.parametrize(
    ("host", "token", "status"),
    [("127.0.0.1", "", 200), ("::1", "", 200), ("localhost", "", 200), ("0.0.0.0", "", 403), ("10.0.0.7", "", 403),
     ("meter.internal", "", 403), ("0.0.0.0", TOKEN, 401), ("127.0.0.1", TOKEN, 401)],
)  # fmt: skip
async def test_data_is_open_on_loopback_alone_and_behind_the_token_where_there_is_one(host, token, status):
    async with app_of(Door(token=token, host=host)) as client:
        response = await client.get("/api/spend")
        assert response.status == status
        assert ("1.23" in await response.text()) == (status == 200)
        assert (await client.get("/page")).status == 200


async def test_the_token_itself_opens_for_programs():
    async with app_of(Door(token=TOKEN, host="0.0.0.0")) as client:
        for header, status in (
            (f"Bearer {TOKEN}", 200),
            (f"bearer {TOKEN}", 200),
            (f"Bearer {TOKEN}x", 401),
            (f"Basic {TOKEN}", 401),
            ("Bearer", 401),
        ):
            assert (await client.get("/api/spend", headers={"Authorization": header})).status == status


async def test_a_login_gives_a_cookie_that_no_script_and_no_other_site_can_use():
    async with app_of(Door(token=TOKEN, host="0.0.0.0")) as client:
        assert (await client.get("/api/login", headers={"Authorization": "Bearer wrong"})).status == 401
        response = await client.get("/api/login", headers={"Authorization": f"Bearer {TOKEN}"})
        assert response.status == 204
        cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        session = response.cookies[COOKIE].value
        assert (await client.get("/api/spend", headers={"Cookie": f"{COOKIE}={session}"})).status == 200
        gone = await client.get("/api/logout")
        assert gone.cookies[COOKIE].value == ""


async def test_the_cookie_of_a_login_over_https_is_for_https_alone():
    async with app_of(Door(token=TOKEN, host="0.0.0.0")) as client:
        headers = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-Proto": "https"}
        assert "Secure" in (await client.get("/api/login", headers=headers)).headers["Set-Cookie"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_of_another_site_may_not_ask(site):
    async with app_of(Door()) as client:
        for path in ("/api/spend", "/api/login"):
            assert (await client.get(path, headers={"Sec-Fetch-Site": site})).status == 403
        assert (await client.get("/api/spend", headers={"Sec-Fetch-Site": "same-origin"})).status == 200


def test_a_session_ends_and_belongs_to_its_token():
    now = [1000.0]
    door = Door(token=TOKEN, now_s=lambda: now[0])
    session = door.session()
    assert door.knows(session)
    assert not Door(token=TOKEN + "2", now_s=lambda: now[0]).knows(session)
    assert not door.knows(session.replace("4", "5", 1))
    now[0] += SESSION_S
    assert not door.knows(session)


@given(st.text(max_size=60))
def test_nothing_made_up_is_a_session(session):
    assert not Door(token=TOKEN).knows(session)


def test_a_door_does_not_show_its_token():
    assert TOKEN not in repr(Door(token=TOKEN))


@pytest.mark.parametrize(
    ("host", "is_it"),
    [("127.8.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("localhost.evil", False)],
)
def test_loopback_is_what_only_this_machine_reaches(host, is_it):
    assert is_loopback(host) is is_it
