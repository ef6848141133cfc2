"""What a request of the HTTP interface asks for: parameters, headers and form fields sorted into their meanings.

Source: ClickHouse documentation, "HTTP interface" and "External data for query processing".
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web

from exporters.store.codecs import choose_coding
from exporters.store.errors import BAD_ARGUMENTS, NOT_IMPLEMENTED, QUERY_IS_TOO_LARGE, StoreError
from exporters.store.externals import External, structure_of_types
from exporters.store.guard import check_settings
from exporters.store.sessions import SessionWish, wish_of
from exporters.store.users import User, Users

MOST_QUERY_BYTES = 16 * 1024 * 1024
_MOST_EXTERNAL_BYTES = 1024 * 1024 * 1024
_MOST_HELD_BYTES = 16 * 1024 * 1024
_HELD_BYTES = 64 * 1024
_READ_BYTES = 256 * 1024
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# fmt: off
_NOT_FOR_THE_ENGINE = frozenset({
    "add_http_cors_header", "buffer_size", "cancel_http_readonly_queries_on_client_close", "client_protocol_version",
    "close_session", "compress", "database", "decompress", "default_format", "enable_http_compression",
    "http_headers_progress_interval_ms", "http_response_buffer_size", "http_wait_end_of_query",
    "http_write_exception_in_output_format", "http_zlib_compression_level", "password", "query", "query_id",
    "quota_key", "role", "send_progress_in_http_headers", "session_check", "session_id", "session_timeout",
    "stacktrace", "user", "wait_end_of_query",
})
# fmt: on
"""What the interface itself answers to; every other parameter is a setting of the query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One request, sorted."""

    user: User
    text: bytes
    """The query of the URL or the form; the body of a request that is no form comes after it."""
    is_form: bool
    query_id: str
    session: SessionWish | None
    database: str
    settings: Mapping[str, str]
    bind: Mapping[str, str]
    externals: Sequence[External]
    default_format: str
    protocol_version: int
    """Of the native protocol, which a client says it speaks; 0 means the plain Native format."""
    coding: str | None
    """The content coding of the answer."""
    coding_level: int
    waits_for_end: bool
    held_bytes: int
    """How much of a result is kept back to see whether the query fails at its beginning."""


def url_params(raw_path: str) -> dict[str, str]:
    """The parameters of a request target; of a name that comes twice the last one counts."""
    query = raw_path.partition("?")[2]
    return dict(parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))


async def read_asking(request: web.BaseRequest, users: Users, scratch_dir: Path, leftovers: ExitStack) -> Asking:
    """Sort a request; the body is read only if it is a form. Raises StoreError.

    Files that came along are in `scratch_dir` until `leftovers` is closed.
    """
    params = url_params(request.raw_path)
    user = users.recognise(request.headers, params)
    files: dict[str, Path] = {}
    leftovers.callback(_remove, files)
    is_form = request.content_type == "multipart/form-data"
    if is_form:
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise StoreError(NOT_IMPLEMENTED, "A form with a Content-Encoding is not supported")
        params |= await _read_form(request, files, scratch_dir)
    externals = [_external(name, file, params) for name, file in files.items()]
    settings, bind = _settings_and_params(params, files)
    if user.reads_only:
        check_settings(settings)
    _refuse_what_is_not_there(params)
    headers = request.headers
    return Asking(
        user=user,
        text=params.get("query", "").encode("utf-8", "surrogateescape"),
        is_form=is_form,
        query_id=params.get("query_id") or str(uuid.uuid4()),
        session=wish_of(*(params.get(f"session_{part}", "") for part in ("id", "timeout", "check"))),
        database=headers.get("X-ClickHouse-Database", "") or params.get("database", ""),
        settings=settings,
        bind=bind,
        externals=externals,
        default_format=_format(headers.get("X-ClickHouse-Format") or params.get("default_format") or "TabSeparated"),
        protocol_version=_number(params, "client_protocol_version", 0),
        coding=_coding(headers, params),
        coding_level=_number(params, "http_zlib_compression_level", 3),
        waits_for_end=_is_on(params, "wait_end_of_query") or _is_on(params, "http_wait_end_of_query"),
        held_bytes=min(_MOST_HELD_BYTES, _number(params, "buffer_size", _HELD_BYTES)),
    )


def _remove(files: Mapping[str, Path]) -> None:
    for file in files.values():
        file.unlink(missing_ok=True)


async def _read_form(request: web.BaseRequest, files: dict[str, Path], scratch_dir: Path) -> dict[str, str]:
    fields: dict[str, str] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or not part.name:
                raise StoreError(BAD_ARGUMENTS, "A part of the form has no name or is a form itself")
            if part.filename is None:
                content = await _read_field(part)
                fields[part.name] = content.decode("utf-8", "surrogateescape")
            else:
                files[part.name] = scratch_dir / f"external-{uuid.uuid4().hex}"
                await _save(part, files[part.name])
    except ValueError as error:  # what aiohttp raises on a form that is none
        raise StoreError(BAD_ARGUMENTS, f"The form cannot be read: {error}") from error
    return fields


async def _read_field(part: BodyPartReader) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(_READ_BYTES):
        content += chunk
        if len(content) > MOST_QUERY_BYTES:
            raise StoreError(QUERY_IS_TOO_LARGE, f"Field {part.name} is larger than {MOST_QUERY_BYTES} bytes")
    return bytes(content)


async def _save(part: BodyPartReader, path: Path) -> None:
    size = 0
    with path.open("xb") as file:
        while chunk := await part.read_chunk(_READ_BYTES):
            size += len(chunk)
            if size > _MOST_EXTERNAL_BYTES:
                raise StoreError(QUERY_IS_TOO_LARGE, f"External table {part.name} is too large")
            file.write(chunk)


def _external(name: str, file: Path, params: Mapping[str, str]) -> External:
    structure, types = params.get(f"{name}_structure", ""), params.get(f"{name}_types", "")
    if not structure and types:
        structure = structure_of_types(types)
    if not structure:
        raise StoreError(BAD_ARGUMENTS, f"External table {name} has neither {name}_structure nor {name}_types")
    return External(name, structure, params.get(f"{name}_format", "TabSeparated"), file)


def _settings_and_params(params: Mapping[str, str], files: Mapping[str, Path]) -> tuple[dict[str, str], dict[str, str]]:
    of_files = {f"{name}_{kind}" for name in files for kind in ("format", "structure", "types")}
    settings, bind = {}, {}
    for name, value in params.items():
        if name.startswith("param_"):
            bind[name.removeprefix("param_")] = value
        elif name not in _NOT_FOR_THE_ENGINE and name not in of_files:
            if not _NAME.fullmatch(name):
                raise StoreError((115, "UNKNOWN_SETTING"), f"Unknown setting '{name[:80]}'")
            settings[name] = value
    return settings, bind


def _refuse_what_is_not_there(params: Mapping[str, str]) -> None:
    if params.get("role"):
        detail = f"There is no role `{params['role'][:80]}`: the embedded store has none"
        raise StoreError((511, "UNKNOWN_ROLE"), detail)
    for name, instead in (("compress", "Accept-Encoding"), ("decompress", "Content-Encoding")):
        if _is_on(params, name):
            detail = f"{name}=1 (blocks of the native protocol) is not supported; use {instead}"
            raise StoreError(NOT_IMPLEMENTED, detail)


def _coding(headers: Mapping[str, str], params: Mapping[str, str]) -> str | None:
    if not _is_on(params, "enable_http_compression"):
        return None
    return choose_coding(headers.get("Accept-Encoding", ""))


def _format(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StoreError((73, "UNKNOWN_FORMAT"), f"Unknown format {name[:80]}")
    return name


def _is_on(params: Mapping[str, str], name: str) -> bool:
    return params.get(name, "").lower() in {"1", "true"}


def _number(params: Mapping[str, str], name: str, default: int) -> int:
    value = params.get(name, "")
    if value and not (value.isascii() and value.isdigit() and len(value) < 19):
        raise StoreError(BAD_ARGUMENTS, f"{name} is not a number: {value[:20]!r}")
    return int(value) if value else default
