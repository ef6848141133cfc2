"""What keeps a copy from being made."""


class CopyError(Exception):
    """The copy cannot go on; the message is one sentence for the operator. Another run goes on from there."""


class UnavailableError(Exception):
    """One of the two ends does not answer just now; worth another try."""
