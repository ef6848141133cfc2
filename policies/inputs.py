"""What a chat request's body holds, read off its bytes: how much text, which images, what it only points at.

The bound of a call rests on it (`policies.bounds`). Where a body is not known to be plain text (`policies.plain`), its
bytes are searched for members by name, of whatever dialect. Inside a text such a name has its quotes escaped, so that
it is not found there; a name that is itself spelt with escapes could hide, and a body with escaped ASCII letters is
therefore taken to point at things.
"""

import re

from policies.facts import Inputs
from policies.plain import is_plain

_HINTS = (b'"data"', b'url"', b'"file', b'_id"', b'ri"', b'"conversation"', b"ached", b'"prompt"', b"item_reference")
_DIALECT_HINTS = {
    "openai.chat": (b'_url"', b'"file', b"input_audio"),
    "minimax.native": (b'url"', b'"file', b"input_audio"),
    "anthropic.messages": (b'"url"', b'"file', b'"base64"'),
}
"""Plain pieces, one of which stands in whatever `_REFERENCE` or `_IMAGE` finds; looking for these first is faster."""
_REFERENCE = re.compile(
    rb'(_url)"\s*:\s*(?:\{[^{}]*?"url"\s*:\s*)?"(?!data:image/)'
    rb'|"type"\s*:\s*"(url|file|item_reference)"'
    rb'|(?:file)_?([Uu]ri)"\s*:\s*"'
    rb'|"(file_id|file_data|previous_response_id)"\s*:\s*"'
    rb'|"(conversation)"\s*:\s*["{]'
    rb'|"(cached_?[cC]ontent)"\s*:\s*"'
    rb'|"(prompt)"\s*:\s*\{'
)
_TOOL_HINTS = (b'"tools"', b"web_search_options", b"mcp_servers", b'"plugins"')
_SERVER_TOOL = re.compile(
    rb'"type"\s*:\s*"(web_search|web_fetch|code_execution|code_interpreter|file_search|mcp|tool_search)[\w-]*"'
    rb'|"(web_search_options|googleSearch|google_search|googleSearchRetrieval|urlContext|url_context|codeExecution'
    rb'|mcp_servers|plugins)"\s*:\s*[\[{]'
)
_BEST_OF = re.compile(rb'"best_of"\s*:\s*(\d{1,3})\b')
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7][0-9a-fA-F]")
_IMAGE = re.compile(
    rb'(?:url"\s*:\s*"data:image/[\w.+-]+;base64,'
    rb'|"(?:mime_?[tT]ype|media_type)"\s*:\s*"image/[\w.+-]+"\s*,\s*"data"\s*:\s*")([A-Za-z0-9+/=_-]+)'
)
"""Only where it stands as a picture: base64 inside a text is text, and costs as such."""
_NOT_AN_IMAGE = re.compile(
    rb'url"\s*:\s*"data:(?!image/)|"(?:mime_?[tT]ype|media_type)"\s*:\s*"(?!image/|text/)|"input_audio"\s*:\s*\{'
)


def read_inputs(body: bytes, dialect: str = "") -> Inputs:
    """What a decoded JSON body of a dialect holds; never raises, and never says less than there is."""
    return Inputs(text_bytes=len(body)) if is_plain(body, dialect) else search(body, dialect)


def search(body: bytes, dialect: str = "") -> Inputs:
    """What the names that stand in a body say that it holds."""
    references = ""
    sizes: tuple[int, ...] = ()
    if any(hint in body for hint in _DIALECT_HINTS.get(dialect, _HINTS)):
        references = _name(_REFERENCE.search(body))
        sizes = tuple(found.end(1) - found.start(1) for found in _IMAGE.finditer(body))
        if _NOT_AN_IMAGE.search(body):
            # The tokens of documents, sound and moving pictures follow neither from their length nor their number.
            references = references or "media"
    if b"\\u00" in body and _ESCAPED_ASCII.search(body):
        references = references or "escaped_names"
    tools = any(hint in body for hint in _TOOL_HINTS)
    best_of = _BEST_OF.search(body) if b'"best_of"' in body else None
    return Inputs(
        text_bytes=len(body) - sum(sizes),
        image_bytes=sizes,
        references=references,
        server_tools=_name(_SERVER_TOOL.search(body)) if tools else "",
        best_of=int(best_of[1]) if best_of else 1,
    )


def _name(found: re.Match[bytes] | None) -> str:
    """The name of the member that a pattern found; empty where it found none."""
    return next((group.decode().strip("_") for group in found.groups() if group), "") if found else ""
