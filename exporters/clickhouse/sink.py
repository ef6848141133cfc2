"""Every call into ClickHouse, exactly once.

What: one INSERT per segment and table, of ready-made JSONEachRow, with a deduplication token made of segment and table.
Whatever happens in between (a lost answer, a kill, a second try with newer prices), the same token changes nothing.
Rows that the store refuses for what is in them are found by halving, each part under a token of its own, and put into
quarantine; which parts were refused is remembered over a crash, so that the cuts are the same again. A materialized
view that cannot work with the rows does not hold them up, and where sums of ours went without them, they are made anew.
Of segments that an unknown recorder may have delivered (its memory is gone) the store is asked what it has.

Config: `store.url`, `store.user`, `store.password`, `store.database`, `store.cluster`, `semconv`.

Example: `await run_recorder(settings, pricer, [ClickHouseSink(settings)], stop=stop, status=status)`

Source: the ClickHouse fact sheet, sections 6 and 7.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime

import msgspec
import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from exporters.clickhouse.build import attempt_rows, call_row
from exporters.clickhouse.client import INSERT_SETTINGS, blamed_view, blames_rows, brief, connect
from exporters.clickhouse.halving import Halving, Rows
from exporters.clickhouse.known import BareRow, Table, digest_of, known_keys, row_key
from exporters.clickhouse.rows import TABLES, AttemptRow, CallRow
from exporters.journal.quarantine import Quarantine
from exporters.recorder.ports import Batch, SinkUnavailableError
from exporters.recorder.state import doubts_on_disk
from exporters.schema.migrate import MIGRATE_TIMEOUT_S, SchemaError, ensure_database, migrate
from exporters.schema.rollups import complete, differing, distrust, unrolled_days
from proxy.core.semconv import DEFAULT_CONVENTION, Convention
from proxy.settings import Settings

ROLLING_S = 1.0
"""How long a batch may wait for roll-ups that are being completed, unless a single day takes longer."""
_OTHERS_WAIT_S = 5.0
"""How long to wait for another recorder that migrates, before the batch is put off."""
_ENCODER = msgspec.json.Encoder()
_LOG = structlog.get_logger()


class ClickHouseSink:
    """The store as a sink. The schema is brought up to date whenever a connection is made.

    Args:
        settings: Address, account and database of the store; the journal folder, for the quarantine; the version of
            the OpenTelemetry names in the trace views; the recorder's memory, for what it does not know.
    """

    name = "clickhouse"

    def __init__(self, settings: Settings) -> None:
        self._store = settings.store
        self._quarantine = Quarantine(settings.journal_dir)
        self._memory = settings.run_dir / "recorder.sqlite"
        self._doubts: Mapping[str, int] | None = None
        self._cut: dict[str, str] = {}
        """Table -> digest of the rows that are left of a batch, where some were left out."""
        self._views: Counter[str] = Counter()
        """View -> rows that it could not work with."""
        self._convention: Convention = "genai-dev" if settings.semconv == "genai-dev" else DEFAULT_CONVENTION
        self._client: Client | None = None
        self._pinned: dict[str, str | int] = {}
        self._done_marks: list[str] = []
        self._rolling = False
        self._idle_checks = 0

    def check(self) -> None:
        """Connect and bring the schema up to date, or see that the store still answers. Raises SinkUnavailableError."""
        with self._mapped():
            if not self._connected().ping():
                self._drop()
                raise SinkUnavailableError(f"no answer from {self._store.url}")
            # A check comes before a batch, and a second one in a row only where there is none. A batch that was under
            # way when the roll-ups were made has to be there before they are completed.
            self._idle_checks += 1
            if self._idle_checks > 1:
                self._rolling = bool(unrolled_days(self._connected()))
                self._complete_rollups()

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """Insert the rows of a batch. Raises SinkUnavailableError."""
        counts: Counter[str] = Counter()
        self._idle_checks = 0
        with self._mapped():
            self._connected()
            self._forget_marks()
            calls, attempts = self._rows(batch, counts)
            self._cut.clear()
            if self._is_doubtful(batch):
                calls, attempts = self._lacked(calls, attempts, counts)
            # Attempts first: who sees a call sees its attempts.
            parts: tuple[tuple[Table, Rows], ...] = (("attempts", attempts), ("calls", calls))
            for table, rows in parts:
                refused = self._insert(batch, table, rows)
                counts[table] += len(rows) - refused
                counts["refused"] += refused
            counts["refused_by_views"] += self._views.total()
            self._views.clear()
        self._complete_rollups()
        return +counts

    def close(self) -> None:
        """Close the connections."""
        self._drop()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """The errors of the client as ours. After any of them the next try begins with a new connection."""
        try:
            yield
        except ClickHouseError as error:
            self._drop()
            raise SinkUnavailableError(brief(error)) from error
        except SchemaError as error:
            self._drop()
            raise SinkUnavailableError(str(error)) from error

    def _connected(self) -> Client:
        if self._client is None:
            bare = connect(self._store)
            try:
                ensure_database(bare, self._store.database, cluster=self._store.cluster)
            finally:
                bare.close()
            self._migrate()
            client = connect(self._store, database=self._store.database)
            _check_columns(client)
            known = client.server_settings
            self._pinned = {name: value for name, value in INSERT_SETTINGS.items() if not known or name in known}
            self._rolling = bool(unrolled_days(client))
            self._client = client
        return self._client

    def _migrate(self) -> None:
        store = self._store
        patient = connect(store, database=store.database, answer_timeout_s=MIGRATE_TIMEOUT_S)
        try:
            migrate(patient, convention=self._convention, cluster=store.cluster, wait_s=_OTHERS_WAIT_S)
        finally:
            patient.close()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _complete_rollups(self) -> None:
        """Go on with roll-ups of rows that are older than they; trouble with it is told, and no trouble of a batch."""
        if not self._rolling:
            return
        try:
            left = complete(self._connected(), ROLLING_S, cluster=self._store.cluster)
        except ClickHouseError as error:
            _LOG.warning("roll-ups are not complete yet", error=brief(error))
            return
        self._rolling = left > 0
        _LOG.info("roll-ups completed", days_left=left)

    def _rows(self, batch: Batch, counts: Counter[str]) -> tuple[list[CallRow], list[AttemptRow]]:
        calls: list[CallRow] = []
        attempts: list[AttemptRow] = []
        odd: list[bytes] = []
        for priced in batch.calls:
            try:
                rows = attempt_rows(priced)
                calls.append(call_row(priced, rows))
                attempts += rows
            except Exception:  # noqa: BLE001 - a record that we cannot make rows of must not hold up all others
                odd.append(msgspec.json.encode(priced.call))
        if odd:
            self._quarantine.put(batch.instance, batch.number, "no_row", odd)
            counts["refused"] += len(odd)
        return calls, attempts

    def _is_doubtful(self, batch: Batch) -> bool:
        """Whether the store may have some of it under a token that nobody knows any more."""
        if self._doubts is None:
            # The recorder has begun to read by now, and what it does not know is settled.
            self._doubts = doubts_on_disk(self._memory)
        doubts = self._doubts
        return bool(doubts) and any(priced.segment <= doubts.get(priced.instance, 0) for priced in batch.calls)

    def _lacked(
        self, calls: list[CallRow], attempts: list[AttemptRow], counts: Counter[str]
    ) -> tuple[list[CallRow], list[AttemptRow]]:
        """The rows that the store does not have; those of calls that it has are counted as `known`.

        Where some are left out, the rest goes under a token and under marks of its own: those of the batch may have
        been used for other rows already, and would make the store or us take these for known.
        """
        client = self._connected()
        known = known_keys(client, "calls", calls)
        counts["known"] += len(known)
        lacked_calls = [row for row in calls if row_key("calls", row) not in known]
        # A recorder that ended in between has inserted the attempts of a call and not the call.
        known = known_keys(client, "attempts", attempts)
        lacked_attempts = [row for row in attempts if row_key("attempts", row) not in known]
        if len(lacked_calls) < len(calls):
            self._cut["calls"] = digest_of("calls", lacked_calls)
        if len(lacked_attempts) < len(attempts):
            self._cut["attempts"] = digest_of("attempts", lacked_attempts)
        return lacked_calls, lacked_attempts

    def _insert(self, batch: Batch, table: Table, rows: Rows) -> int:
        """Insert rows under the token of their segment; how many the store refused for what is in them."""
        if not rows:
            return 0
        if digest := self._cut.get(table):
            batch = msgspec.structs.replace(
                batch, token=f"{batch.token}/{digest}", instance=f"{batch.instance}-{digest[:8]}"
            )
        token = f"{batch.token}/{table}"
        mark = f"{batch.instance}.{batch.number:08d}.{table}"
        known = self._quarantine.marked(mark)
        refusal = None
        if not known and (refusal := self._send(table, rows, token)) is None:
            return 0
        halving = Halving(
            rows,
            send=lambda part, name: self._send(table, part, f"{token}/{name}"),
            known=known,
            remember=lambda refused: self._quarantine.mark(mark, refused),
        )
        halving.run(refusal)
        if halving.refused:
            lines, why = [_ENCODER.encode(row) for row in halving.refused], "\n".join(halving.reasons)
            self._quarantine.put(batch.instance, batch.number, f"refused-{table}", lines, why=why)
        self._done_marks.append(mark)
        return len(halving.refused)

    def _forget_marks(self) -> None:
        """A further batch means that the cursor has passed what was marked."""
        while self._done_marks:
            self._quarantine.unmark(self._done_marks.pop())

    def _send(self, table: Table, rows: Rows, token: str) -> ClickHouseError | None:
        """One INSERT; the error when the store refuses the rows for what is in them. Raises every other one."""
        try:
            self._post(table, rows, _ENCODER.encode_lines(rows), token)
        except ClickHouseError as error:
            if blames_rows(error):
                return error
            raise
        return None

    def _post(self, table: Table, rows: Rows | Sequence[BareRow], lines: bytes, token: str) -> None:
        """One INSERT, past views that cannot work with it. An error that blames the rows means that none is there.

        A view is filled after its table: were its error taken for one of the rows, the table would have them, and would
        get them again, in parts, under other tokens.
        """
        client = self._connected()
        settings = {**self._pinned, "insert_deduplication_token": token}
        try:
            client.raw_insert(table, insert_block=lines, fmt="JSONEachRow", settings=settings)
        except ClickHouseError as error:
            view = blamed_view(error)
            if not view:
                raise
            settings["materialized_views_ignore_errors"] = 1
            client.raw_insert(table, insert_block=lines, fmt="JSONEachRow", settings=settings)
            _LOG.warning("a view goes without rows", view=view, rows=len(rows), error=brief(error))
            self._views[view] += len(rows)
            if lacking := differing(client, {_day(row.started_at) for row in rows}):
                distrust(client, lacking)
                self._rolling = True


def _day(started_at: str) -> date:
    return datetime.fromtimestamp(float(started_at), UTC).date()


def _check_columns(client: Client) -> None:
    """The tables have what the rows bring. Raises SchemaError."""
    for table, row in TABLES.items():
        there = {str(found[0]) for found in client.query(f"DESCRIBE TABLE {table}").result_rows}
        if missing := [name for name in row.__struct_fields__ if name not in there]:
            raise SchemaError(f"The table {table} lacks the columns {', '.join(missing)}: somebody has changed it.")
