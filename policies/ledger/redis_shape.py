"""How a borrowing and a page look to `redis_books.lua`, and what it answers. PURE.

Amounts travel as text: a number of Lua has 53 bits. Figures of buckets are kept below 2**52, instants in microseconds.
"""

from collections.abc import Sequence
from typing import Any

from policies.demand import Demand
from policies.ledger.arithmetic import (
    RATE_SHARE,
    bucket_frees_at,
    family_of,
    is_strict,
    kept_until_ns,
    older_of,
    window_frees_at,
)
from policies.ledger.books import Page, Standing, Want

_NS_PER_US = 1000
_MOST_OF_BUCKET = 2**51
_SECOND_US = 1_000_000
_SECOND_NS = 1_000_000_000


def microseconds(at_ns: int) -> int:
    """Of an instant; the part of a microsecond is dropped."""
    return at_ns // _NS_PER_US


def want_shape(want: Want) -> dict[str, Any]:
    """A want, for `borrow`."""
    return {"need": str(min(want.need, _MOST_OF_BUCKET) if want.demand.kind == "rate" else want.need)} | {
        "demand": _demand_shape(want.demand)
    }


def _demand_shape(demand: Demand) -> dict[str, Any]:
    kept_ns = kept_until_ns(demand)
    shape: dict[str, Any] = {
        "counter": demand.counter,
        "family": demand.family,
        "unit": demand.unit,
        "kind": demand.kind,
        "strict": is_strict(demand),
        "starts": microseconds(demand.starts_at_ns),
        "starts_text": str(demand.starts_at_ns),
        "ends_text": "" if demand.ends_at_ns is None else str(demand.ends_at_ns),
        "kept": "" if kept_ns is None else str(-(-kept_ns // _SECOND_NS)),
        "before": older_of(demand) or "",
        "also": list(demand.also),
        "rolling": bool(demand.bucket_ns),
    }
    if demand.kind == "rate":
        per_us = max(1, demand.per_ns // _NS_PER_US)
        stated = min(demand.stated, _MOST_OF_BUCKET)
        return shape | {
            "limit": min(demand.limit, _MOST_OF_BUCKET),
            "stated": stated,
            "per": per_us,
            "pace": stated * _SECOND_US // per_us // RATE_SHARE,
        }
    carry = demand.carry
    if carry is not None:
        shape["carry"] = {"counter": carry.counter, "limit": str(carry.limit), "most": str(carry.most)}
    return shape | {"limit_text": str(demand.limit), "top_ups": demand.top_ups}


def page_shape(page: Page) -> dict[str, Any]:
    """A page, for `post`."""
    return {
        "instance": page.instance,
        "segment": page.segment,
        "postings": [
            {
                "counter": posting.counter,
                "family": family_of(posting.counter),
                "unit": posting.unit,
                "spent": str(posting.spent),
                "set_aside": str(posting.set_aside),
            }
            for posting in page.postings
        ],
    }


def standing_of(want: Want, row: Sequence[Any]) -> Standing:
    """What `borrow` says of a want."""
    demand = want.demand
    lease, posted, spent, leased, allowed, room, lent, others, older_spent, older_leased, level, at_us = map(
        int, row[:12]
    )
    is_bucket, missing = demand.kind == "rate", want.need - room
    frees_at_ns = None
    if missing > 0 and is_bucket:
        frees_at_ns = bucket_frees_at(demand, want.need, room, at_us * _NS_PER_US)
    elif missing > 0:
        frees_at_ns = window_frees_at(demand, missing, [int(used) for used in row[12]])
    return Standing(
        counter=demand.counter,
        lease=lent if is_bucket else lease,
        posted=posted,
        spent=demand.limit - level - leased + lease if is_bucket else spent,
        leased=leased,
        allowed=allowed,
        room=room - lent,
        reclaimable=others,
        older_spent=older_spent,
        older_leased=older_leased,
        frees_at_ns=frees_at_ns,
    )
