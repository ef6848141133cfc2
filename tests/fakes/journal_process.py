"""A process that writes calls into a journal and tells which ones are written: to be killed.

`python -m tests.fakes.journal_process FOLDER INSTANCE SEGMENT_BYTES [FIRST [PAUSE_S]]`: opens and closes calls FIRST,
FIRST + 1 ... and prints the number of every tenth call once `close_call` has returned. SIGTERM ends it in order.
"""

import signal
import sys
import threading
from pathlib import Path

from exporters.journal.writer import Journal
from tests.fakes.records import call, opened


def main() -> None:
    """Write until killed or told to end."""
    folder, instance, segment_bytes, *more = sys.argv[1:]
    first = int(more[0]) if more else 1
    pause_s = float(more[1]) if len(more) > 1 else 0.0
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    journal = Journal(Path(folder), instance, segment_s=0.2, segment_bytes=int(segment_bytes))
    number = first
    while not ended.is_set():
        journal.open_call(opened(number))
        journal.close_call(call(number))
        journal.tick()
        if number % 10 == 0:
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
        number += 1
        if pause_s:
            ended.wait(pause_s)
    journal.close()
    sys.stdout.write(f"{number - 1}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
