"""Finds the few rows that a store refuses among many that it takes, by sending ever smaller parts.

Every part has a name, made of where it is cut, and is sent under that name as its token: a part that was taken is not
taken twice. For that the cuts must be the same after a kill, even if the store was repaired meanwhile: which parts
were refused is remembered before their halves are sent, and a part once refused is never sent whole again.
"""

from collections.abc import Callable, Sequence

from exporters.clickhouse.client import brief
from exporters.clickhouse.rows import AttemptRow, CallRow
from exporters.recorder.ports import SinkUnavailableError

Rows = Sequence[CallRow] | Sequence[AttemptRow]

ALL_REFUSED = 100
"""So many single rows refused and not one taken: then it is not the rows that are wrong."""


class Halving:
    """One run over the rows of a segment.

    Args:
        rows: All of them.
        send: `send(part, name)`: the error when the part is refused for what is in it; raises any other.
        known: What `remember` was given last in a run that was cut short; empty in the first.
        remember: Keeps a text over a crash.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        send: Callable[[Rows, str], Exception | None],
        known: str,
        remember: Callable[[str], None],
    ) -> None:
        self.refused: list[CallRow | AttemptRow] = []
        self.reasons: list[str] = []
        """One for each of `refused`."""
        self._rows = rows
        self._send = send
        self._remember = remember
        self._refusals = dict.fromkeys(known.split(), "refused before a restart")
        self._first_run = not known
        self._taken = 0

    def run(self, whole: Exception | None) -> None:
        """Send all parts. Raises SinkUnavailableError when nothing at all is taken.

        Args:
            whole: Why the rows were refused as a whole, if that was tried now.
        """
        if whole is not None:
            self._note(_name(0, len(self._rows)), brief(whole))
        self._part(0, len(self._rows))

    def _part(self, start: int, end: int) -> None:
        name = _name(start, end)
        if name not in self._refusals:
            error = self._send(self._rows[start:end], name)
            if error is None:
                self._taken += end - start
                return
            self._note(name, brief(error))
        if end - start > 1:
            middle = (start + end) // 2
            self._part(start, middle)
            self._part(middle, end)
        else:
            self._refuse(self._rows[start], self._refusals[name])

    def _note(self, name: str, reason: str) -> None:
        self._refusals[name] = reason
        self._remember(" ".join(self._refusals))

    def _refuse(self, row: CallRow | AttemptRow, reason: str) -> None:
        self.refused.append(row)
        self.reasons.append(reason)
        if self._first_run and not self._taken and len(self.refused) >= ALL_REFUSED:
            # Nothing was taken, so nothing needs to be cut the same way again.
            self._remember("")
            raise SinkUnavailableError(f"the store refuses every row: {reason}")


def _name(start: int, end: int) -> str:
    return f"{start}-{end}"
