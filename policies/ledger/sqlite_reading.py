"""What people ask the books in a file, and tell them: counters, processes, top-ups."""

from policies.ledger.books import Lender, Recorded, TopUp
from policies.ledger.sqlite_file import SqliteFile, step


class SqliteReading(SqliteFile):
    """The part of `SqliteBooks` that no call waits for."""

    @step("BEGIN")
    def recorded(self, family: str = "") -> tuple[Recorded, ...]:
        """See Books."""
        rows = self.db.execute(
            "SELECT counter, family, unit, spent, leased, allowed, starts_at_ns, ends_at_ns FROM counters "
            "WHERE kind <> 'rate' AND (?1 = '' OR family = ?1) ORDER BY counter",
            (family,),
        ).fetchall()
        return tuple(Recorded(**dict(zip(Recorded.__struct_fields__, row, strict=True))) for row in rows)

    @step("BEGIN")
    def lenders(self) -> tuple[Lender, ...]:
        """See Books."""
        rows = self.db.execute(
            "SELECT instance, posted, seen_ns, (SELECT count(*) FROM leases WHERE amount > 0 AND "
            "leases.instance = journals.instance), included FROM journals ORDER BY instance"
        ).fetchall()
        return tuple(Lender(**dict(zip(Lender.__struct_fields__, row, strict=True))) for row in rows)

    @step()
    def top_up(self, top_up: TopUp) -> None:
        """See Books."""
        self.db.execute(
            "INSERT INTO top_ups VALUES (?, ?, ?, ?, ?, ?)",
            (top_up.family, top_up.amount, top_up.reason, top_up.by, top_up.at_ns, top_up.until_ns),
        )

    @step("BEGIN")
    def top_ups(self, family: str = "") -> tuple[TopUp, ...]:
        """See Books."""
        rows = self.db.execute(
            "SELECT family, amount, reason, by, at_ns, until_ns FROM top_ups "
            "WHERE ?1 = '' OR family = ?1 ORDER BY at_ns",
            (family,),
        ).fetchall()
        return tuple(TopUp(**dict(zip(TopUp.__struct_fields__, row, strict=True))) for row in rows)
