"""What can go wrong with a report, each as one sentence for the person who asked."""


class ReportError(Exception):
    """A report that cannot be given; the text is one clear sentence."""

    exit_status = 1
    """What a command ends with: 1 where something is missing or broken, 2 where the question is wrong."""


class BadQuestionError(ReportError):
    """The question itself is wrong: an unknown dimension, a period that cannot be read."""

    exit_status = 2


class StoreUnreachableError(ReportError):
    """Nobody answers at the store's address."""


class StoreRefusedError(ReportError):
    """The store answered and would not run the query."""


class EmptyStoreError(ReportError):
    """The store holds no call at all, or not even the tables yet."""
