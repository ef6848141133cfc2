"""The books that the settings mean."""

import msgspec
import pytest

from policies.ledger.books import BooksUnavailableError
from proxy.app_ledger import EPOCH_NAME, books_of
from proxy.settings import LedgerSettings, Listen, Settings, StoreSettings
from tests.fakes.redis_server import PROGRAM, WHY_NOT, running_redis


def make_settings(folder):
    here = Listen("127.0.0.1", 0)
    store = StoreSettings(url="http://127.0.0.1:1", user="u", password="p")
    return Settings(listen=here, admin=here, store=store, data_dir=folder, workers=1, providers=())


def test_without_a_url_they_are_a_file_of_the_data_folder(tmp_path):
    settings = make_settings(tmp_path)
    books = books_of(settings)
    assert not settings.ledger_path.exists()

    assert books.recorded() == ()

    assert settings.ledger_path.exists()
    books.close()


@pytest.mark.real
@pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)
def test_with_a_url_they_are_in_redis_and_the_machine_remembers_which(tmp_path):
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder, "--requirepass", "secret") as server:
        for password in ("secret", "wrong"):
            ledger = LedgerSettings(url=server.url, password=password)
            settings = msgspec.structs.replace(make_settings(tmp_path), ledger=ledger)
            books = books_of(settings)
            if password == "wrong":
                with pytest.raises(BooksUnavailableError):
                    books.glance("w", -1)
            else:
                assert books.glance("w", -1).at == 0
            books.close()
        assert (settings.run_dir / EPOCH_NAME).read_text()
