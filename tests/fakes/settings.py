"""Settings with little to say."""

from proxy.settings import ProviderSettings


def provider(name: str, base_url: str, kind: str = "openai", **more: object) -> ProviderSettings:
    """A configured provider; `more` are fields of `ProviderSettings`."""
    return ProviderSettings(name=name, kind=kind, base_url=base_url, **more)  # type: ignore[arg-type]
