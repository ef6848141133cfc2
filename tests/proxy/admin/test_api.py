import asyncio
import threading

import pytest
from aiohttp.test_utils import TestClient, TestServer

from proxy.admin.access import Door
from proxy.admin.api import Answer
from proxy.admin.app import Console, admin_app
from proxy.admin.live import Live
from tests.fakes.statuses import WELL


class Told:
    """Answers everything with what it was asked."""

    def __init__(self):
        self.asked = []
        self.answer = Answer(body=b'{"rows": []}')

    def report(self, asked, answer_format):
        self.asked.append((asked, answer_format))
        return self.answer

    def call(self, call_id, tz):
        self.asked.append((call_id, tz))
        return self.answer

    def budgets(self):
        return self.answer

    def targets(self):
        return self.answer


def client_of(source, **door):
    async def status():
        return WELL

    live = Live(asyncio.get_running_loop())
    console = Console(source=source, live=live, door=Door(**door))
    return TestClient(TestServer(admin_app(status, console=console)))


async def test_a_report_is_asked_for_in_the_words_of_the_command():
    source = Told()
    async with client_of(source) as client:
        response = await client.get(
            "/api/reports/costs?since=today&tz=Asia/Shanghai&by=team,model&where=team=a&where=outcome!=ok&limit=5"
        )
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
    assert source.asked == [
        (
            {
                "name": "costs",
                "since": "today",
                "tz": "Asia/Shanghai",
                "by": "team,model",
                "where": ["team=a", "outcome!=ok"],
                "limit": 5,
            },
            "json",
        )
    ]


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "limit=²", "format=xml", "form=csv"])
async def test_a_question_that_makes_no_sense_is_refused_before_it_is_asked(query):
    source = Told()
    async with client_of(source) as client:
        response = await client.get(f"/api/reports/costs?{query}")
        assert (response.status, (await response.json())["error"]) == (400, "question")
    assert source.asked == []


async def test_what_is_wrong_is_told_as_a_sentence_with_its_status():
    source = Told()
    async with client_of(source) as client:
        for status, code in ((400, "question"), (503, "unavailable"), (404, "unavailable")):
            source.answer = Answer(problem="No store answers.", status=status)
            for path in ("/api/reports/costs", "/api/calls/c1", "/api/budgets", "/api/targets"):
                response = await client.get(path)
                assert response.status == status
                assert await response.json() == {"error": code, "message": "No store answers."}


async def test_an_id_longer_than_any_is_no_call():
    source = Told()
    async with client_of(source) as client:
        assert (await client.get("/api/calls/" + "x" * 1000)).status == 404
    assert source.asked == []


async def test_health_tells_what_the_doctor_finds():
    async with client_of(Told()) as client:
        told = await (await client.get("/api/health")).json()
    assert {"state", "about", "said", "advice"} == set(told["findings"][0])
    assert told["journal"]["sinks"]["clickhouse"]["reachable"] is True


async def test_questions_wait_for_their_turn_and_never_pile_up_without_end():
    go_on, source = threading.Event(), Told()
    source.budgets = lambda: go_on.wait(30) and source.answer
    async with client_of(source) as client:
        asking = [asyncio.create_task(client.get("/api/budgets")) for _ in range(60)]
        done, _ = await asyncio.wait(asking, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result().status for task in done} == {503}
        go_on.set()
        statuses = [(await task).status for task in asking]
    assert statuses.count(200) == 50
    assert statuses.count(503) == 10


@pytest.mark.parametrize(
    "path",
    ["/api/live", "/api/reports/costs", "/api/calls/c", "/api/budgets", "/api/targets", "/api/health", "/api/nothing"],
)
async def test_every_route_is_behind_the_door_and_the_host_check(path):
    async with client_of(Told(), token="t" * 20, host="0.0.0.0") as client:
        assert (await client.get(path)).status == 401
        assert (await client.get(path, headers={"Host": "evil.example"})).status == 421
        assert (await client.get("/")).status == 200
        assert (await client.get("/healthz")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_there_is_nothing_to_change(method):
    async with client_of(Told()) as client:
        for path in ("/api/reports/costs", "/api/login", "/api/budgets", "/"):
            assert (await client.request(method, path)).status == 405
