"""Losses by which a record is missing, or may be. Whatever else is counted under a reason is on the books."""

RECORD_LOSSES: dict[str, str] = {
    "journal_write_failed": "calls ended and could not be written down; is the disk full?",
    "journal_open_failed": "calls began and could not be written down; is the disk full?",
    "journal_full": "calls were not written down, the journal had reached its size; is a sink down?",
    "journal_full_refused": "calls were refused by a journal that had no room even to note that; is a sink down?",
    "given_up": "calls that a sink never gets, it was too far behind when the journal had no more room; see which",
    "journal_seal_failed": "segments could not be closed or synced; is the disk failing?",
    "journal_line_missing": "lines are missing in segments; a power cut or a failing disk does that",
    "segment_missing": "segments are missing in the journal; somebody or something removed them",
    "segment_damaged": "segments were damaged; what could not be read is in quarantine",
    "state_damaged": "the recorder's state file was damaged and begun anew",
}
"""Reason -> what it means, and where to look."""
