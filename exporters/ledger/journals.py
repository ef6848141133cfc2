"""What lies in the journal of this machine and may not be in the store yet, as pages of the ledger."""

import contextlib
from pathlib import Path

from exporters.journal.reader import instances, list_segments
from exporters.ledger.sink import pages_of
from exporters.recorder.ports import Batch, Pricer
from exporters.recorder.segments import PricedSegments
from policies.ledger.books import Page


def journal_pages(journal_dir: Path, pricer: Pricer) -> tuple[Page, ...]:
    """A page for each sealed segment in which a call drew on a budget, priced as the recorder prices it.

    A segment that is removed meanwhile was delivered everywhere: the store has it. Ask the store afterwards, so that
    one of both has every segment. Raises OSError when one that is there cannot be read.
    """
    segments, found = PricedSegments(pricer), list[Page]()
    for instance in instances(journal_dir):
        for number, segment in sorted(list_segments(journal_dir, instance).sealed.items()):
            with contextlib.suppress(FileNotFoundError):
                calls = list(segments.get(segment, "rebuilding").calls)
                found += pages_of(Batch(instance=instance, number=number, token=segment.token, calls=calls))
    return tuple(found)
