"""The books of many machines: a Redis or a Valkey, one server or a cluster.

Every step is one run of `redis_books.lua`, which is atomic. The keys, all with the hash tag `{NAME}:`, so that a
cluster has them in one slot:

| key | what |
|---|---|
| `epoch` | which books these are; see below |
| `steps`, `changes` | how many steps there were, and in which of them a counter changed last |
| `c:COUNTER` | a counter, with the lease `l:INSTANCE` of each process and what of it was posted, `p:INSTANCE` |
| `s:INSTANCE` | the counters that a process has a lease of |
| `i:INSTANCE`, `instances` | what else is known of a process, and all of them |
| `u:FAMILY`, `families` | the top-ups of a family, and which have any |

A counter is kept for twelve windows after its end, from 40 to 400 days; then Redis drops it.

Books that lost their data: every machine remembers the epoch that it found first. When Redis comes back without it (a
restart without persistence, a flush) nobody makes a new one: the books are `lost`, each policy's
`when_ledger_unavailable` says what becomes of calls, and the recorder keeps what it has to post, until `taximeter
ledger rebuild` has put back what was spent. For two seconds after that nothing is lent, so that every process can put
what its calls under way hold on lease again.
"""

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from policies.ledger.arithmetic import family_of
from policies.ledger.books import (
    BooksLostError,
    BooksUnavailableError,
    Borrowed,
    Glance,
    Lender,
    Page,
    Recorded,
    Standing,
    TopUp,
    Want,
)
from policies.ledger.redis_link import RedisLink, RedisOptions
from policies.ledger.redis_shape import microseconds, page_shape, standing_of, want_shape

CLOSED_MS = 2000
"""How long after a rebuilding of lost books nothing is lent."""
_FIELDS = ("family", "unit", "spent", "leased", "allowed", "starts", "ends", "kind")
_LOST = "the ledger in Redis lost what was in it: run `taximeter ledger rebuild`"
_REBUILT = "the ledger in Redis was rebuilt a moment ago"


class RedisBooks:
    """The books in Redis. Nothing is asked before the first step. Thread-safe.

    Args:
        options: How to reach it.
        epoch_file: Where this machine keeps the epoch of the books; None: only this process knows it.
    """

    def __init__(self, options: RedisOptions, *, epoch_file: Path | None = None) -> None:
        self._link = RedisLink(options)
        self._epoch_file = epoch_file
        self._epoch = _read(epoch_file)
        self._serial = 0

    def close(self) -> None:
        """Close the connections."""
        self._link.close()

    def borrow(self, instance: str, wants: Sequence[Want], now_ns: int) -> Borrowed:
        """See Books."""
        shapes = [want_shape(want) for want in wants]
        answer = self._run("borrow", shapes, now_ns, instance, serial=True)
        if answer is None:
            # The first try was done, and its answer was lost on the way: what it brought is free.
            answer = self._run("borrow", shapes, now_ns, instance, serial=True)
        if answer is None:
            raise BooksUnavailableError("the ledger in Redis did not say what it lent")
        granted, rows = answer
        return Borrowed(granted == b"1", tuple(map(standing_of, wants, rows)))

    def cover(self, instance: str, amounts: Mapping[str, int], now_ns: int) -> None:
        """See Books."""
        given = {name: {"family": family_of(name), "amount": str(amount)} for name, amount in amounts.items()}
        self._run("cover", given, now_ns, instance, serial=True)

    def give_back(self, instance: str, amounts: Mapping[str, int], now_ns: int) -> None:
        """See Books."""
        given = {counter: str(amount) for counter, amount in amounts.items()}
        self._run("give_back", given, now_ns, instance, serial=True)

    def leave(self, instance: str, counters: Sequence[str]) -> None:
        """See Books."""
        self._run("leave", list(counters), 0, instance)

    def glance(self, instance: str, since: int) -> Glance:
        """See Books."""
        at, rows = self._run("glance", {"since": str(since)}, 0, instance)
        standings, wanted, buckets = [], set(), set()
        for name, lease, posted, spent, leased, allowed, kind, is_wanted in rows:
            counter = name.decode()
            if is_wanted == b"1":
                wanted.add(counter)
            if kind == b"rate":
                buckets.add(counter)
                continue
            own, used, lent, most = int(lease), int(spent), int(leased), int(allowed)
            standings.append(
                Standing(
                    counter=counter,
                    lease=own,
                    posted=int(posted),
                    spent=used,
                    leased=lent,
                    allowed=most,
                    room=most - used - lent,
                    reclaimable=lent - own,
                )
            )
        return Glance(int(at), tuple(standings), frozenset(wanted), frozenset(buckets))

    def post(self, pages: Sequence[Page], now_ns: int) -> int:
        """See Books."""
        (new,) = self._run("post", [page_shape(page) for page in pages], now_ns)
        return int(new)

    def forget(self, instance: str) -> None:
        """See Books."""
        self._run("forget", {}, 0, instance)

    def rebuild(
        self, spent: Mapping[str, int], units: Mapping[str, str], included: Mapping[str, int], now_ns: int
    ) -> tuple[str, ...]:
        """See Books."""
        given = {
            "spent": {
                counter: {"amount": str(amount), "family": family_of(counter), "unit": units.get(counter, "")}
                for counter, amount in spent.items()
            },
            "included": {instance: str(segment) for instance, segment in included.items()},
            "closed_ms": str(CLOSED_MS),
        }
        (ahead,) = self._run("rebuild", given, now_ns)
        return tuple(sorted(instance.decode() for instance in ahead))

    def recorded(self, family: str = "") -> tuple[Recorded, ...]:
        """See Books. It reads many keys, and others may write between them."""
        link, found = self._link, []
        names = sorted(name.decode() for name in link.command("ZRANGE", link.key("changes"), 0, -1))
        for counter in names:
            row = link.command("HMGET", link.key(f"c:{counter}"), *_FIELDS)
            of, unit, spent, leased, allowed, starts, ends, kind = (value and value.decode() for value in row)
            if of is None or kind == "rate" or family not in {"", of}:
                continue
            found.append(
                Recorded(
                    counter=counter,
                    family=of,
                    unit=unit or "",
                    spent=int(spent or 0),
                    leased=int(leased or 0),
                    allowed=int(allowed or 0),
                    starts_at_ns=int(starts or 0),
                    ends_at_ns=int(ends) if ends else None,
                )
            )
        return tuple(found)

    def lenders(self) -> tuple[Lender, ...]:
        """See Books."""
        link, found = self._link, []
        for name in sorted(name.decode() for name in link.command("ZRANGE", link.key("instances"), 0, -1)):
            posted, seen_us, included = link.command("HMGET", link.key(f"i:{name}"), "posted", "seen", "included")
            leases = link.command("SCARD", link.key(f"s:{name}"))
            seen_ns = int(seen_us or 0) * 1000
            found.append(
                Lender(
                    instance=name,
                    posted_up_to=int(posted or 0),
                    seen_ns=seen_ns,
                    leases=int(leases),
                    included_up_to=int(included or 0),
                )
            )
        return tuple(found)

    def top_up(self, top_up: TopUp) -> None:
        """See Books."""
        entry = {
            "amount": str(top_up.amount),
            "at_us": str(microseconds(top_up.at_ns)),
            "until_us": "" if top_up.until_ns is None else str(microseconds(top_up.until_ns)),
            "reason": top_up.reason,
            "by": top_up.by,
        }
        link = self._link
        link.command("SADD", link.key("families"), top_up.family)
        link.command("RPUSH", link.key(f"u:{top_up.family}"), msgspec.json.encode(entry))

    def top_ups(self, family: str = "") -> tuple[TopUp, ...]:
        """See Books."""
        link, found = self._link, []
        families = [family] if family else [one.decode() for one in link.command("SMEMBERS", link.key("families"))]
        for of in sorted(families):
            for entry in link.command("LRANGE", link.key(f"u:{of}"), 0, -1):
                one = msgspec.json.decode(entry, type=dict[str, str])
                found.append(
                    TopUp(
                        family=of,
                        amount=int(one["amount"]),
                        reason=one["reason"],
                        by=one["by"],
                        at_ns=int(one["at_us"]) * 1000,
                        until_ns=int(one["until_us"]) * 1000 if one["until_us"] else None,
                    )
                )
        return tuple(sorted(found, key=lambda one: one.at_ns))

    def _run(self, op: str, given: object, now_ns: int, instance: str = "", *, serial: bool = False) -> Any:
        """One step; what the script gives after state and epoch, or None where it was done by an earlier try.

        A step that changes leases has a number, and one that comes late, after a newer one, is not done: what it would
        give back may be in use again.
        """
        if serial:
            self._serial += 1
        arguments: list[str | bytes] = [
            op,
            self._epoch,
            self._epoch or secrets.token_hex(8),
            instance,
            str(self._serial) if serial else "",
            str(microseconds(now_ns)),
            msgspec.json.encode(given),
        ]
        if op == "rebuild":
            arguments[2] = secrets.token_hex(8)
        state, epoch, *rest = self._link.script(arguments)
        if state == b"STALE":
            return None
        if state == b"LOST":
            raise BooksLostError(_LOST)
        self._adopt(epoch.decode())
        if state == b"NEW":
            raise BooksLostError(_REBUILT)
        if state == b"WAIT":
            raise BooksUnavailableError(_REBUILT)
        return rest

    def _adopt(self, epoch: str) -> None:
        if epoch == self._epoch:
            return
        self._epoch = epoch
        if self._epoch_file is not None:
            part = self._epoch_file.with_name(f".{self._epoch_file.name}.{os.getpid()}")
            try:
                self._epoch_file.parent.mkdir(parents=True, exist_ok=True)
                part.write_text(epoch, encoding="ascii")
                part.rename(self._epoch_file)
            except OSError as error:
                raise BooksUnavailableError(f"{self._epoch_file} cannot be written: {error}") from error


def _read(epoch_file: Path | None) -> str:
    if epoch_file is None:
        return ""
    try:
        return epoch_file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeError) as error:
        raise BooksUnavailableError(f"{epoch_file} cannot be read: {error}") from error
