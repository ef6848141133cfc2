"""The wiring of the ledger: which books the settings mean. Only for `proxy.app` and what it wires."""

from typing import TYPE_CHECKING

from policies.ledger.late_books import LateBooks
from proxy.settings import Settings

if TYPE_CHECKING:
    from policies.ledger.books import Books

EPOCH_NAME = "ledger-epoch"
"""File of the run folder that says which books in Redis this machine found first."""


def books_of(settings: Settings, *, durable: bool = False) -> "Books":
    """The ledger's books: a Redis where one is named, else a file of the data folder; opened at the first question.

    Args:
        settings: Of the process.
        durable: Whether a step in the file is on the disk when it returns: for whoever books what was spent.
    """

    def open_books() -> "Books":
        ledger = settings.ledger
        # Imported here: a worker has no room for the one that it does not use.
        if ledger.url is None:
            from policies.ledger.sqlite_books import SqliteBooks

            return SqliteBooks(settings.ledger_path, durable=durable)
        from policies.ledger.redis_books import RedisBooks
        from policies.ledger.redis_link import RedisOptions

        options = RedisOptions(
            url=ledger.url,
            name=ledger.name,
            user=ledger.user,
            password=ledger.password,
            tls_verify=ledger.tls_verify,
            tls_ca_file=ledger.tls_ca_file,
            cluster=ledger.cluster,
            timeout_s=ledger.timeout_s,
        )
        return RedisBooks(options, epoch_file=settings.run_dir / EPOCH_NAME)

    return LateBooks(open_books)
