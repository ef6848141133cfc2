"""How amounts, instants and reasons are written: short, stable, and the same everywhere."""

from datetime import UTC, datetime

from policies.demand import scale_of

MAX_REASONS = 40
"""Reasons on one record; of more the last says how many were left out."""
MAX_REASON_CHARS = 200
_NS = 10**9


def amount_text(amount: int, unit: str) -> str:
    """`0.0123 USD`, `1234 tokens`: an amount in whole numbers of its unit's scale, exactly."""
    return f"{number_text(amount, unit)} {unit}"


def number_text(amount: int, unit: str) -> str:
    """The amount without its unit, and without zeros that say nothing."""
    scale = scale_of(unit)
    if not scale:
        return str(amount)
    sign, digits = ("-", -amount) if amount < 0 else ("", amount)
    whole, fraction = divmod(digits, 10**scale)
    return f"{sign}{whole}.{fraction:0{scale}d}".rstrip("0").rstrip(".") if fraction else f"{sign}{whole}"


def rounded_text(amount: int, unit: str) -> str:
    """The amount for a sentence: money to six decimals at most."""
    shown = 10 ** max(0, scale_of(unit) - 6)
    return amount_text(amount - amount % shown, unit)


def instant_text(at_ns: int) -> str:
    """`2026-12-01T00:00:00Z`, rounded up to the second."""
    return f"{datetime.fromtimestamp(-(-at_ns // _NS), UTC):%Y-%m-%dT%H:%M:%SZ}"


def bounded(reasons: list[str]) -> tuple[str, ...]:
    """Reasons as a record takes them: each of bounded length, and not too many."""
    short = tuple(reason[:MAX_REASON_CHARS] for reason in reasons[:MAX_REASONS])
    left = len(reasons) - MAX_REASONS
    return (*short[:-1], f"reasons_left_out={left + 1}") if left > 0 else short
