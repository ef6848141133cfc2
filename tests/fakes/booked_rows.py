"""Rows of calls that say what was booked for them, and the same as postings, for tests of books beside a real store."""

import time

from policies.ledger.books import Page, Posting

NOW_NS = time.time_ns()
DAY_NS = 86_400 * 10**9
TODAY = "budget:team@2026-11-24T00:00:00Z"
ALWAYS = "budget:all"
_NAMES = {"team": TODAY, "all": ALWAYS, "old": "budget:gone@2020-01-01T00:00:00Z"}


def row(number, journal, segment, at_ns=NOW_NS, **draws):
    return {
        "call_id": f"{number:032x}", "started_at": f"{at_ns / 1e9:.9f}", "journal": journal, "segment": segment,
        "draws": {_NAMES[name]: amount for name, amount in draws.items()},
    }  # fmt: skip


def post(books, instance, segment, **amounts):
    postings = tuple(Posting(_NAMES[name], "USD", amount, amount) for name, amount in amounts.items())
    books.post([Page(instance, segment, postings)], NOW_NS)
