"""What the sections of a policy file have in common: conditions, times of the week, and their values."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from policies import values
from proxy.config.section import Section, parsed

Text = str | list[str]
OneOf = Annotated[values.OneOf, parsed(values.one_of, Text | dict[Literal["not"], Text])]
Zone = Annotated[str, parsed(values.zone, str), Field(examples=["Europe/Berlin"])]


class PolicySection(Section):
    """A section whose keys are described by the texts behind them."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Hours(PolicySection):
    """Times of the week."""

    hours: Annotated[tuple[tuple[int, int], ...], parsed(values.hours, Text)] = ()
    """`09:00-18:00`, or a list; one that ends before it begins goes over midnight. Left out: the whole day."""
    weekdays: Annotated[tuple[int, ...], parsed(values.weekdays, Text)] = ()
    """`mon-fri`, or a list. Left out: every day."""
    zone: Zone | None = None
    """Whose clocks; the file's `defaults.zone` where left out."""
    outside: bool = False
    """True for all other times."""


class Conditions(PolicySection):
    """Which calls a rule is for: all of these have to hold. Each is a value, a list or `{not: ...}`, globs allowed."""

    team: OneOf | None = None
    """The team that the call is attributed to."""
    project: OneOf | None = None
    """The project that the call is attributed to."""
    user: OneOf | None = None
    """The user that the call is attributed to."""
    key: OneOf | None = None
    """Name of the virtual key, or fingerprint (`k_...`) of an app's own."""
    session: OneOf | None = None
    """The session that the call is attributed to."""
    provider: OneOf | None = None
    """Name of the configured provider."""
    model: OneOf | None = None
    """The model that the request asks for; upper and lower case are one."""
    operation: OneOf | None = None
    """`chat`, `embeddings`, `speech` ..."""
    dialect: OneOf | None = None
    """`openai.chat`, `anthropic.messages` ..."""
    streaming: Annotated[values.OneOf, parsed(values.flag_or_not, bool)] | None = None
    """Whether the request asks for a stream."""
    tags: dict[str, OneOf] = {}
    """Tags of the call by name."""
    time: Hours | None = None
    """Times of the week at which the rule is there."""
