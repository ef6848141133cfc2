"""Azure OpenAI: an operator's own resource.

What:
    Deployments (`/openai/deployments/{name}/...?api-version=`) and the v1 surface (`/openai/v1/...`) of
    `{resource}.openai.azure.com` and `{resource}.services.ai.azure.com`, Anthropic's models there included. The
    deployment stands as the requested model: it is free text, the answer's model is the one with a price.

Config:
    providers:
      azure:
        base_url: https://my-resource.openai.azure.com
        api_key: env:AZURE_OPENAI_API_KEY

Example:
    client = AzureOpenAI(azure_endpoint="http://127.0.0.1:8484/azure", api_version="2024-10-21")

Source:
    Azure OpenAI REST reference; azure-rest-api-specs issue 30810 for the version that knows `stream_options`.
"""

import re
from urllib.parse import unquote

import msgspec

from proxy.core.query import query_value
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.base import Provider, Route
from proxy.providers.judgement import classify
from proxy.providers.routing import PathTable, Shape, is_openai_chat, segments_of
from proxy.providers.surfaces import ANTHROPIC_SURFACE, OPENAI_SURFACE

_FIRST_VERSION_WITH_USAGE = "2024-09-01"
"""An older one answers 400 to `stream_options`."""
_DATED_VERSION = re.compile(r"(\d{4}-\d\d-\d\d)(-preview)?")

_table = PathTable(
    [Shape("GET", "openai/deployments", "models", free=True), *OPENAI_SURFACE, *ANTHROPIC_SURFACE],
    error_dialect=OPENAI_CHAT,
)


def route(method: str, path: str) -> Route:
    """What a path is; the deployment, where it names one, is the model."""
    found = _table(method, path)
    if "/deployments/" not in path:
        return found
    segments = segments_of(path)
    after = segments[segments.index("deployments") + 1 :]
    return msgspec.structs.replace(found, model=unquote(after[0])) if after else found


def injects_usage(path: str, query: str) -> bool:
    """Whether this version of the API knows `stream_options`: a dated one from 2024-09-01 on, and the v1 surface."""
    if not is_openai_chat(path):
        return False
    version = query_value(query, "api-version")
    dated = _DATED_VERSION.fullmatch(version) if version else None
    if dated:
        return dated[1] >= _FIRST_VERSION_WITH_USAGE
    return segments_of(path)[-4:-2] == ["openai", "v1"]


AZURE = Provider(
    kind="azure",
    base_urls={},
    credential_header="api-key",
    request_id_headers=("apim-request-id", "x-request-id", "x-ms-request-id"),
    route=route,
    classify=classify,
    injects_usage=injects_usage,
)
