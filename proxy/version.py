"""Which Taximeter this is, and what it runs on."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "aiohttp",
    "chdb",
    "clickhouse-connect",
    "genai-prices",
    "msgspec",
    "pydantic",
    "structlog",
    "typer",
    "uvloop",
)
"""What a report of a problem should name."""

_NOT_INSTALLED = "0+checkout"


def own_version() -> str:
    """The version that is installed; `0+checkout` when it runs from a folder that nobody installed."""
    return package_version("taximeter") or _NOT_INSTALLED


def package_version(name: str) -> str | None:
    """The version of an installed package, None when it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def package_versions() -> dict[str, str | None]:
    """The versions of everything in PACKAGES."""
    return {name: package_version(name) for name in PACKAGES}


def platform_line() -> str:
    """`Python 3.11.7, Linux x86_64`."""
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
