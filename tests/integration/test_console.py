"""The console in a real browser: Chromium, headless, over a real store.

Without Chromium or its driver the tests say so and skip; CI has both.
"""

import asyncio
import contextlib
import shutil
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp.test_utils import TestServer

from exporters.live.sink import LiveSink
from exporters.recorder.ports import Batch, PricedCall
from proxy.admin.access import Door
from proxy.admin.app import Console, admin_app
from proxy.admin.live import Live
from proxy.app import pricer_of
from proxy.app_console import ConsoleSource
from proxy.settings import Listen, ProviderSettings, Settings
from tests.fakes.records import attempt, call
from tests.fakes.report_store import report_store
from tests.fakes.sinks import FixedPrices
from tests.fakes.statuses import WELL

playwright = pytest.importorskip(
    "playwright.async_api", reason="playwright, which drives the browser, is not installed"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(180),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium"),
]

NASTY = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
TOKEN = "the-admin-token-of-a-test"
PHONE = {"width": 360, "height": 740}
LINES = [
    {
        "part": "input",
        "quantity": "1200",
        "free": "0",
        "rate": "0.3",
        "per": 1_000_000,
        "amount": "0.00036",
        "price_id": "book/m3",
    },
    {
        "part": "output",
        "quantity": "340",
        "free": "0",
        "rate": "1.2",
        "per": 1_000_000,
        "amount": "0.000408",
        "price_id": "book/m3",
    },
]
WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


class NoBooks:
    def recorded(self, family=""):
        return ()


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("console")
    with report_store(folder) as store:
        at = datetime.now(UTC) - timedelta(minutes=20)
        store.add(
            {
                "call_id": f"c{n}", "team": NASTY if n == 33 else "search", "model": NASTY if n == 33 else "MiniMax-M3",
                "started_at": (at + timedelta(seconds=20 * n)).strftime("%Y-%m-%d %H:%M:%S"), "cost": "0.000768",
                "input_tokens": 1200, "output_tokens": 340, "ttft_ms": 210.0, "price_lines": LINES, "list_cost": "0.000768",
                "list_cost_currency": "USD", "price_id": "book/m3", "reasons": [NASTY] if n == 33 else ["budget:team"],
                "error_type": NASTY, "currency": "CNY" if n % 7 == 0 else "USD",
            }
            for n in range(40)
        )  # fmt: skip
        yield Settings(
            listen=Listen("127.0.0.1", 0), admin=Listen("127.0.0.1", 0), store=store.settings, data_dir=folder, workers=1,
            providers=(ProviderSettings(name="minimax", kind="minimax", base_url="https://api.minimax.io"),),
        )  # fmt: skip


class Served:
    """A console that is served, and a browser's page that looks at it."""

    def __init__(self, page, url, live):
        self.page, self.url = page, url
        self.sink = LiveSink(live, now_ns=time.time_ns)
        self.said, self.asked = [], []
        page.on(
            "console", lambda message: self.said.append(message.text) if message.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    async def look(self, path="/"):
        await self.page.goto(self.url + path)
        await self.page.wait_for_selector("#live-calls tbody tr")
        await self.page.wait_for_selector("#chart-ttft .uplot")
        await self.page.wait_for_selector("#findings li")
        await self.page.wait_for_selector("#live-state.good")

    def happen(self, number, **more):
        one = call(
            number, attempt(1, model=more.pop("model", "gpt-4.1-mini")), started_at_ns=time.time_ns() - 10**9, **more
        )
        prices = FixedPrices()
        priced = PricedCall(one, tuple(prices.price(tried, one) for tried in one.attempts))
        self.sink.deliver(Batch(instance="w", number=number, token=f"t-{number}", calls=[priced]))
        return one.call_id

    def is_well(self):
        assert self.said == []
        assert {url for url in self.asked if not url.startswith((self.url, "data:"))} == set()


@pytest.fixture
def console(settings):
    @contextlib.asynccontextmanager
    async def console(*, token="", host="127.0.0.1", **context):
        async def status():
            return msgspec.structs.replace(WELL, config_file=NASTY)

        live = Live(asyncio.get_running_loop())
        source = ConsoleSource(settings, pricer_of(settings), NoBooks())
        app = admin_app(status, console=Console(source=source, live=live, door=Door(token=token, host=host)))
        async with TestServer(app) as server, playwright.async_playwright() as driver:
            # Where a container runs as root, Chromium's own sandbox cannot be had.
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = await (await browser.new_context(**context)).new_page()
            page.set_default_timeout(30_000)
            try:
                yield Served(page, str(server.make_url("")).rstrip("/"), live)
            finally:
                await browser.close()

    return console


async def test_the_page_loads_without_an_error_or_a_violation_and_asks_no_other_host(console):
    async with console() as shown:
        await shown.look()
        assert await shown.page.inner_text("#totals .card >> nth=0")
        assert "USD" in await shown.page.inner_text("#totals")
        assert "CNY" in await shown.page.inner_text("#totals")
        await playwright.expect(shown.page.locator("#targets-why")).not_to_be_empty()
        shown.is_well()


async def test_a_call_appears_as_it_happens(console):
    async with console() as shown:
        await shown.look()
        call_id = shown.happen(77)
        await shown.page.wait_for_selector(f'#live-calls tr[data-call="{call_id}"]')
        shown.is_well()


async def test_while_paused_calls_wait_and_then_come(console):
    async with console() as shown:
        await shown.look()
        await shown.page.click("#pause")
        call_id = shown.happen(78)
        await shown.page.wait_for_selector("#pause:has-text('Go on (1 wait)')")
        assert await shown.page.query_selector(f'tr[data-call="{call_id}"]') is None
        await shown.page.click("#pause")
        await shown.page.wait_for_selector(f'tr[data-call="{call_id}"]')


async def test_what_came_from_outside_is_only_ever_text(console):
    async with console() as shown:
        await shown.look()
        call_id = shown.happen(79, model=NASTY, error_class=None, reasons=(NASTY,))
        await shown.page.wait_for_selector(f'tr[data-call="{call_id}"]')
        await shown.page.click('tr[data-call="c33"] button')
        await shown.page.wait_for_selector("#call .timeline")
        assert NASTY in await shown.page.inner_text("#call-body")
        assert await shown.page.title() == "Taximeter"
        assert await shown.page.locator("img[src='x'], body script").count() == 0
        shown.is_well()


async def test_a_call_shows_its_timeline_and_its_price_as_a_formula(console):
    async with console() as shown:
        await shown.look()
        await shown.page.click('#live-calls tr[data-call="c35"] button')
        await shown.page.wait_for_selector("#call .formula")
        told = await shown.page.inner_text("#call-body")
        assert "1,200 in × $0.30/M + 340 out × $1.20/M = $0.000768" in told  # noqa: RUF001 - what the page says
        for wanted in ("book/m3", "budget:team", "Attempt 1", "first token after 210 ms"):
            assert wanted in told
        shown.is_well()


async def test_a_search_finds_by_id_and_says_what_is_wrong_with_a_question(console):
    async with console() as shown:
        await shown.look()
        await shown.page.fill("input[name=call_id]", "c9")
        await shown.page.keyboard.press("Enter")
        await shown.page.wait_for_selector('#found tr[data-call="c9"]')
        assert await shown.page.locator("#found tbody tr").count() == 1
        await shown.page.fill("input[name=since]", "soon")
        await shown.page.keyboard.press("Enter")
        await shown.page.wait_for_selector("#search-said:has-text('is no point in time')")


async def test_light_and_dark_follow_the_system_until_somebody_chooses(console):
    colour = "getComputedStyle(document.body).backgroundColor"
    async with console(color_scheme="dark") as shown:
        await shown.look()
        dark = await shown.page.evaluate(colour)
        await shown.page.click("#theme")
        light = await shown.page.evaluate(colour)
        assert dark != light
        await shown.look()
        assert await shown.page.evaluate(colour) == light
        shown.is_well()


async def test_everything_can_be_reached_by_keyboard(console):
    async with console() as shown:
        await shown.look()
        await shown.page.keyboard.press("Tab")
        assert await shown.page.evaluate("document.activeElement.className") == "skip"
        await shown.page.keyboard.press("Enter")
        await shown.page.click("h1")
        passed = []
        for _ in range(200):
            await shown.page.keyboard.press("Tab")
            passed.append(
                await shown.page.evaluate(
                    "document.activeElement.id || document.activeElement.name || document.activeElement.className"
                )
            )
            if passed[-1] == "link":
                break
        assert "pause" in passed
        await shown.page.keyboard.press("Enter")
        await shown.page.wait_for_selector("#call[open] .formula")
        await shown.page.keyboard.press("Escape")
        await shown.page.wait_for_selector("#call:not([open])", state="attached")
        assert await shown.page.evaluate("document.activeElement.className") == "link"


async def test_a_phone_shows_it_all_without_scrolling_sideways(console):
    async with console(viewport=PHONE, device_scale_factor=2, has_touch=True) as shown:
        await shown.look()
        width, there = await shown.page.evaluate(WIDTHS)
        assert width <= there
        await shown.page.click('#live-calls tr[data-call="c35"] button')
        await shown.page.wait_for_selector("#call .formula")
        width, there = await shown.page.evaluate(WIDTHS)
        assert width <= there
        shown.is_well()


async def test_from_another_machine_the_token_opens_the_page(console):
    async with console(token=TOKEN, host="0.0.0.0") as shown:
        await shown.page.goto(shown.url)
        await shown.page.wait_for_selector("#login[open]")
        await shown.page.fill("#token", "wrong")
        await shown.page.keyboard.press("Enter")
        await shown.page.wait_for_selector("#login-said:has-text('not the admin token')")
        await shown.page.fill("#token", TOKEN)
        await shown.page.keyboard.press("Enter")
        await shown.page.wait_for_selector("#live-calls tbody tr")
        await shown.page.wait_for_selector("#live-state.good")
        assert TOKEN not in await shown.page.evaluate("document.cookie")
        assert not any(TOKEN in url for url in shown.asked)


async def test_a_port_open_to_others_without_a_token_shows_nothing_but_why(console):
    async with console(host="0.0.0.0") as shown:
        await shown.page.goto(shown.url)
        await shown.page.wait_for_selector("#notice:has-text('admin_token')")
        assert await shown.page.locator("#live-calls tbody tr").count() == 0
