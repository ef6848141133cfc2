"""Three provider kinds and a config file in a folder, for tests of configuration."""

from pathlib import Path

from proxy.config.load import load_settings
from proxy.config.problems import ConfigError
from proxy.core.errors import ErrorClass, ErrorSeen
from proxy.providers.base import Provider, Route


def _route(method: str, path: str) -> Route:
    raise AssertionError(f"configuration asks for no route: {method} {path}")


def _classify(seen: ErrorSeen) -> ErrorClass:
    raise AssertionError(f"configuration meets no error: {seen}")


def _kind(kind: str, base_urls: dict[str, str]) -> Provider:
    return Provider(kind=kind, base_urls=base_urls, credential_header="authorization", route=_route, classify=_classify)


def kinds() -> tuple[Provider, ...]:
    """MiniMax with its two hosts, OpenAI, and Azure, which has no host of its own."""
    return (
        _kind("minimax", {"minimax": "https://api.minimax.io", "minimax-cn": "https://api.minimaxi.com"}),
        _kind("openai", {"openai": "https://api.openai.com"}),
        _kind("azure", {}),
    )


def load(folder: Path, text: str | None, env: dict[str, str] | None = None, *, provider_keys: bool = True):
    """Settings of `taximeter.yaml` with this text in the folder; None for no file."""
    file = None
    if text is not None:
        file = Path("taximeter.yaml")
        (folder / file).write_text(text)
    return load_settings(file, env=env or {}, cwd=folder, kinds=kinds(), provider_keys=provider_keys)


def said(folder: Path, text: str | None, env: dict[str, str] | None = None) -> list[str]:
    """The problems of it, as they are printed."""
    try:
        load(folder, text, env)
    except ConfigError as error:
        return str(error).splitlines()
    return []
