"""The journal: what the workers write, one line per call, and how it is read back whatever happened in between.

Layout below the journal folder, where names that begin with a dot are never instances:

    <instance>/lock                              held (flock) for as long as the process lives
    <instance>/00000007.open                     the segment being written
    <instance>/00000006-<lines>-<sha256>.jsonl   a sealed one: complete, and never changed again
    .shipped/<hour>/<instance>/...               segments that every sink has, kept for a while
    .quarantine/...                              what could not be read or was refused, with the reason in the name

Import the modules themselves: the writer lives in the hot path and must not pull in the reader's side.
"""
