import hashlib
import re

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from proxy.admin.static import FOLDER, PAGE, add_console, assets


def client_of():
    app = web.Application()
    add_console(app, assets())
    return TestClient(TestServer(app))


async def test_every_file_comes_with_a_policy_that_lets_nothing_else_in():
    async with client_of() as client:
        for path in ("/", "/console/main.js", "/console/console.css", "/console/vendor/uPlot.iife.min.js"):
            response = await client.get(path)
            assert response.status == 200
            policy = response.headers["Content-Security-Policy"]
            for wanted in (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "connect-src 'self'",
                "img-src 'self' data:",
                "frame-ancestors 'none'",
            ):
                assert wanted in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_file_that_is_the_same_is_not_sent_again():
    async with client_of() as client:
        etag = (await client.get("/")).headers["ETag"]
        assert (await client.get("/", headers={"If-None-Match": etag})).status == 304


async def test_only_the_files_of_the_page_are_there():
    async with client_of() as client:
        for path in (
            "/console/vendor/README.md",
            "/console/../app.py",
            "/console/%2e%2e/app.py",
            "/console/vendor/uPlot.LICENSE",
        ):
            assert (await client.get(path)).status == 404


def test_the_page_has_no_inline_script_or_style_and_names_no_other_host():
    page = assets()[PAGE].body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", page)
    for name, asset in assets().items():
        if not name.startswith("vendor/"):
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", asset.body.decode()), name


def test_what_came_from_outside_can_only_become_text():
    for name, asset in assets().items():
        if name.endswith(".js") and not name.startswith("vendor/"):
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", asset.body.decode()
            ), name


def test_every_file_that_is_asked_for_is_there():
    files = assets()
    asked = set(re.findall(r'(?:href|src)="/console/([^"]+)"', files[PAGE].body.decode()))
    for name, asset in files.items():
        if name.endswith(".js") and "/" not in name:
            asked |= set(re.findall(r'from "\./([^"]+)"', asset.body.decode()))
    assert asked <= set(files)


def test_vendored_files_are_those_that_the_table_names():
    table = (FOLDER / "vendor" / "README.md").read_text()
    named = dict(re.findall(r"`([\w.]+)` \| `([0-9a-f]{64})`", table))
    there = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (FOLDER / "vendor").iterdir()
        if path.name != "README.md"
    }
    assert named == there
