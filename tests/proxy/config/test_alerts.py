import pytest

from proxy.settings import EmailChannel, HookChannel, SlackChannel, from_json, to_json
from tests.fakes.config_files import load, said

SECRET = "a-secret-of-32-characters-at-all"
ENV = {"HOOK_SECRET": SECRET, "SLACK": "https://hooks.slack.example/services/T/B/x", "SMTP": "hunter2-and-more"}
ALL = """alerts:
  group: 30s
  repeat: never
  link: https://taximeter.example.com
  channels:
    ops: {kind: webhook, url: "https://hooks.example.com/x?y=1", secret: env:HOOK_SECRET, severity: critical}
    team: {kind: slack, url: env:SLACK, severity: info}
    money: {kind: email, host: smtp.example.com, user: t, password: env:SMTP, sender: t@example.com, to: [a@example.com, b@example.com]}
"""


def channels(*lines):
    return "\n".join(["alerts:", "  channels:", *(f"    {line}" for line in lines)]) + "\n"


def test_without_a_section_nobody_is_told(tmp_path):
    assert load(tmp_path, None).alerts.channels == ()


def test_each_kind_of_channel_is_made_with_its_defaults(tmp_path):
    made = load(tmp_path, ALL, ENV).alerts
    assert (made.group_s, made.repeat_s, made.link) == (30.0, None, "https://taximeter.example.com")
    assert made.channels == (
        HookChannel(name="ops", hook_url="https://hooks.example.com/x?y=1", secret=SECRET, severity="critical"),
        SlackChannel(name="team", hook_url=ENV["SLACK"], severity="info"),
        EmailChannel(
            name="money",
            host="smtp.example.com",
            port=587,
            security="starttls",
            sender="t@example.com",
            recipients=("a@example.com", "b@example.com"),
            user="t",
            password=ENV["SMTP"],
        ),
    )


def test_channels_come_through_the_pipe_as_they_are(tmp_path):
    settings = load(tmp_path, ALL, ENV)
    assert from_json(to_json(settings)).alerts == settings.alerts


def test_no_secret_is_in_what_a_traceback_shows(tmp_path):
    shown = repr(load(tmp_path, ALL, ENV).alerts)
    assert not any(secret in shown for secret in (*ENV.values(), "hooks.example.com"))


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_from_the_security(tmp_path, security, port):
    line = f"m: {{kind: email, host: h.example.com, sender: t@x.example, to: [a@x.example], security: {security}}}"
    assert load(tmp_path, channels(line)).alerts.channels[0].port == port


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("m: {}", "needs a kind: webhook, slack or email"),
        ("M!: {kind: slack, url: 'https://x.example'}", "small letters, digits and dashes"),
        ("m: {kind: slack}", "needs url"),
        ("m: {kind: webhook, url: 'https://x.example/'}", "needs secret"),
        ("m: {kind: webhook, url: 'https://x.example/', secret: env:SHORT}", "too short to sign with"),
        ("m: {kind: slack, url: env:NOT_SET}", "NOT_SET is not set"),
        (
            "m: {kind: slack, url: 'https://x.example/', secret: env:HOOK_SECRET}",
            "does not belong to a channel of kind slack",
        ),
        ("m: {kind: email, host: h.example}", "needs sender"),
        ("m: {kind: email, host: h.example, sender: nobody, to: [a@x.example]}", "must be an address"),
        ("m: {kind: email, host: h.example, sender: a@x.example, to: ['A <a@x.example>']}", "must be an address"),
        ("m: {kind: email, host: h.example, sender: a@x.example, to: [a@x.example], user: u}", "belong together"),
        (
            "m: {kind: email, host: h.example, sender: a@x.example, to: [a@x.example], user: u, password: env:SMTP, security: none}",
            "must be starttls or tls where there is a password",
        ),
        ("m: {kind: slack, url: 'https://x.example/', tls: {ca_file: nowhere.pem}}", "no such file"),
        ("m: {kind: pager, url: 'https://x.example/'}", "'slack' or 'email'"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(tmp_path, line, what):
    problems = said(tmp_path, channels(line), ENV | {"SHORT": "short"})
    assert len(problems) == 1, problems
    assert what in problems[0]
    assert "alerts.channels" in problems[0]
    assert not any(secret in problems[0] for secret in ENV.values())
