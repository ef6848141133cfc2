"""Settings survive the pipe to a child process."""

from pathlib import Path

from proxy.settings import Listen, ProviderSettings, Settings, StoreSettings, from_json, to_json


def test_settings_come_out_of_the_pipe_as_they_went_in():
    settings = Settings(
        listen=Listen("127.0.0.1", 8484),
        admin=Listen("::1", 8485),
        store=StoreSettings(url="http://127.0.0.1:8486", user="u", password="p"),
        data_dir=Path("/data"),
        workers=2,
        providers=(ProviderSettings(name="p", kind="openai", base_url="https://x", api_key="sk"),),
    )

    line = to_json(settings)

    assert from_json(line) == settings
    assert b"\n" not in line
    assert settings.journal_dir == Path("/data/journal")
    assert settings.admin.url == "http://[::1]:8485"
