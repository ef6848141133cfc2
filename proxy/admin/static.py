"""The console's files: read once, served with what keeps a browser from running or asking anything else.

Nothing is built: what stands in `proxy/admin/console` is what a browser gets.
"""

import hashlib
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

FOLDER = Path(__file__).parent / "console"
PAGE = "index.html"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""The Content-Security-Policy of every file."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Asked for anew each time, and not sent again when it is the same.
    "Cache-Control": "no-cache",
}
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Asset(msgspec.Struct, frozen=True):
    """One file."""

    body: bytes
    content_type: str
    etag: str


def assets(folder: Path = FOLDER) -> dict[str, Asset]:
    """Path below the folder -> file, for every file that a browser may have. Raises OSError."""
    found: dict[str, Asset] = {}
    for path in sorted(folder.rglob("*")):
        kind = _TYPES.get(path.suffix)
        if kind is not None and path.is_file():
            body = path.read_bytes()
            etag = hashlib.sha256(body).hexdigest()[:32]
            found[path.relative_to(folder).as_posix()] = Asset(body, kind, etag)
    return found


def add_console(app: web.Application, files: dict[str, Asset]) -> None:
    """The page under `/`, everything else under `/console/`."""
    app.router.add_get("/", _page(files[PAGE]))
    for name, asset in files.items():
        if name != PAGE:
            app.router.add_get(f"/console/{name}", _page(asset))


def _page(asset: Asset) -> Handler:
    quoted = f'"{asset.etag}"'

    async def page(request: web.Request) -> web.Response:
        if quoted in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers={**HEADERS, "ETag": quoted})
        response = web.Response(
            body=asset.body, content_type=asset.content_type, charset="utf-8", headers={**HEADERS, "ETag": quoted}
        )
        response.enable_compression()
        return response

    return page
