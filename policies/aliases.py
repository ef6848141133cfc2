"""Model names that apps may ask for: aliases, resolved when the policies load, and `provider/model`."""

from collections.abc import Collection, Mapping

MAX_CHAIN = 16
"""Aliases of aliases; more of them are a mistake even where they are no loop."""


class AliasError(ValueError):
    """An alias that leads nowhere.

    Attributes:
        alias: The one to look at, as written.
        chain: The names that it leads through, from the alias on.
    """

    def __init__(self, message: str, alias: str, chain: tuple[str, ...]) -> None:
        super().__init__(message)
        self.alias = alias
        self.chain = chain


def resolve_aliases(stated: Mapping[str, str]) -> dict[str, str]:
    """Alias, in lower case, -> what it stands for in the end; names have no case.

    Raises:
        AliasError: two aliases differ by case alone, or one leads back to itself or through too many others.
    """
    written: dict[str, str] = {}
    for alias in stated:
        low = alias.lower()
        if low in written:
            raise AliasError(f"{alias!r} and {written[low]!r} are one name", alias, (written[low], alias))
        written[low] = alias
    return {low: _end_of(alias, stated, written) for low, alias in written.items()}


def split_model(name: str, providers: Collection[str]) -> tuple[str, str] | None:
    """Provider and model of `provider/model`; None where it begins with no provider's name.

    Models may hold further slashes: `openrouter/deepseek/deepseek-chat`.
    """
    provider, slash, model = name.partition("/")
    if not slash or not model:
        return None
    found = next((one for one in providers if one.lower() == provider.lower()), None)
    return None if found is None else (found, model)


def _end_of(alias: str, stated: Mapping[str, str], written: Mapping[str, str]) -> str:
    chain = [alias]
    while True:
        name = stated[chain[-1]]
        after = written.get(name.lower())
        if after is None:
            return name
        if after in chain:
            loop = " -> ".join([*chain[chain.index(after) :], after])
            raise AliasError(f"the alias {alias!r} leads round in a loop: {loop}", alias, (*chain, after))
        chain.append(after)
        if len(chain) > MAX_CHAIN:
            message = f"the alias {alias!r} leads through more than {MAX_CHAIN} others"
            raise AliasError(message, alias, tuple(chain))
