"""A process that writes calls into a journal as fast as it can and tells which ones are written: killed by tests.

`journal_process.py FOLDER INSTANCE SEGMENT_BYTES`: opens and closes calls 1, 2, 3 ..., and prints the number of every
tenth call once `close_call` has returned.
"""

import sys
from pathlib import Path

from exporters.journal.writer import Journal
from tests.fakes.records import call, opened


def main() -> None:
    """Write until killed."""
    folder, instance, segment_bytes = sys.argv[1:]
    journal = Journal(Path(folder), instance, segment_bytes=int(segment_bytes))
    number = 0
    while True:
        number += 1
        journal.open_call(opened(number))
        journal.close_call(call(number))
        if number % 10 == 0:
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
