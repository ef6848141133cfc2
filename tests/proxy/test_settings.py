"""Settings survive the pipe to a child process."""

from pathlib import Path

from proxy.settings import (
    Listen,
    OtlpSettings,
    OtlpTarget,
    ProviderSettings,
    Settings,
    SinkSettings,
    StoreSettings,
    WebhookSettings,
    from_json,
    to_json,
)

TARGET = OtlpTarget(endpoint="http://c:4318/v1/traces", protocol="http/protobuf", headers={"x-key": "sk-secret"})
HOOK = WebhookSettings(name="ops", hook_url="https://h.example/sk-secret", secret="sk-secret")


def test_settings_come_out_of_the_pipe_as_they_went_in():
    settings = Settings(
        listen=Listen("127.0.0.1", 8484),
        admin=Listen("::1", 8485),
        store=StoreSettings(url="http://127.0.0.1:8486", user="u", password="p"),
        data_dir=Path("/data"),
        workers=2,
        providers=(ProviderSettings(name="p", kind="openai", base_url="https://x", api_key="sk"),),
        sinks=SinkSettings(otlp=OtlpSettings(enabled_by="test", traces=TARGET), webhooks=(HOOK,)),
    )

    line = to_json(settings)

    assert from_json(line) == settings
    assert b"\n" not in line
    assert settings.journal_dir == Path("/data/journal")
    assert settings.admin.url == "http://[::1]:8485"


def test_a_sink_in_a_traceback_shows_no_secret():
    assert "sk-secret" not in repr(SinkSettings(otlp=OtlpSettings(enabled_by="", traces=TARGET), webhooks=(HOOK,)))
