import pytest

from exporters.alerts.mail import EmailAlerts, mail_of
from exporters.recorder.ports import SinkUnavailableError
from exporters.webhook.post import RefusedError
from proxy.settings import EmailChannel
from tests.fakes.alerts import HOUR_NS, LINKS, NOW_NS, message, notice, signal
from tests.fakes.certificates import make_pair
from tests.fakes.smtp_server import smtp_server


def channel(box, **more):
    fields = {
        "name": "money",
        "host": "127.0.0.1",
        "port": box.port,
        "security": "none",
        "sender": "taximeter@example.com",
        "recipients": ("a@example.com", "b@example.com"),
        "timeout_s": 5.0,
    }
    return EmailAlerts(EmailChannel(**fields | more))


def mail(*notices, **more):
    return mail_of(message(*notices, **more), LINKS, sender="t@example.com", recipients=("a@example.com",))


def test_a_mail_says_it_in_its_subject_and_all_of_it_below():
    made = mail()
    assert made["Subject"] == "[taximeter] warning: budget search (team=search) has passed 80 %"
    assert made["Message-ID"] == "<m-1@example.com>"
    assert made["Auto-Submitted"] == "auto-generated"
    lines = made.get_content().splitlines()
    assert lines[:3] == [
        "budget search (team=search) has passed 80 %",
        "  4.05 USD of 5 USD spent.",
        "  warning, 2026-11-24T18:30:00Z",
    ]
    assert "  taximeter budget status search" in lines
    assert lines[-1] == "https://taximeter.example.com"


def test_what_is_over_is_told_as_such():
    over = notice(event="resolved", since_ns=NOW_NS - HOUR_NS, signal=signal(severity="critical"))
    assert mail(over)["Subject"].startswith("[taximeter] resolved: over: budget")


def test_a_name_of_a_caller_adds_no_header():
    made = mail(notice(signal=signal(title="spent by jo\r\nBcc: all@example.com")))
    assert made["Bcc"] is None
    assert "\n" not in made["Subject"]


def test_many_alerts_are_written_out_in_part():
    text = mail(*(notice(str(number)) for number in range(25))).get_content()
    assert text.count("has passed 80 %") == 20
    assert "And 5 more." in text


@pytest.mark.real
def test_it_arrives_at_all_recipients():
    with smtp_server() as box:
        channel(box).send(message(notice(signal=signal(title="Ümläute, 5 € und 日本"))), LINKS)
    (got,) = box.mails
    assert box.recipients == [["a@example.com", "b@example.com"]]
    assert got["Subject"] == "[taximeter] warning: Ümläute, 5 € und 日本"
    assert "Ümläute, 5 € und 日本" in got.get_content()
    assert got["To"] == "a@example.com, b@example.com"


@pytest.mark.real
def test_the_password_goes_over_tls_only(tmp_path):
    pair = make_pair(tmp_path, "smtp")
    with smtp_server(pair) as box:
        secured = {"security": "starttls", "user": "t", "password": "let-me-in", "tls_ca_file": pair.cert}
        channel(box, **secured).send(message(), LINKS)
        assert box.sessions[0][:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]
    assert box.encrypted == [True]
    with smtp_server() as box:
        with pytest.raises(SinkUnavailableError, match="STARTTLS"):
            channel(box, security="starttls", user="t", password="let-me-in").send(message(), LINKS)
        assert "AUTH" not in box.sessions[0]


@pytest.mark.real
def test_tls_from_the_first_byte(tmp_path):
    pair = make_pair(tmp_path, "smtp")
    with smtp_server(pair, at_once=True) as box:
        channel(box, security="tls", tls_ca_file=pair.cert).send(message(), LINKS)
    assert box.encrypted == [True]


@pytest.mark.real
def test_a_certificate_that_nobody_trusts_gets_nothing(tmp_path):
    with smtp_server(make_pair(tmp_path, "smtp")) as box, pytest.raises(SinkUnavailableError, match="certificate"):
        channel(box, security="starttls").send(message(), LINKS)
    assert box.mails == []


@pytest.mark.real
@pytest.mark.parametrize(
    ("verb", "reply", "error"),
    [
        ("RCPT", "550 no such user", RefusedError),
        ("RCPT", "451 later", SinkUnavailableError),
        ("END", "554 spam", RefusedError),
        ("END", "451 later", SinkUnavailableError),
        ("MAIL", "550 not you", SinkUnavailableError),
        ("EHLO", "CUT", SinkUnavailableError),
        ("DATA", "CUT", SinkUnavailableError),
    ],
)
def test_a_reply_says_whether_to_try_again(verb, reply, error):
    with smtp_server() as box:
        box.replies[verb] = reply
        with pytest.raises(error):
            channel(box).send(message(), LINKS)
    assert box.mails == []


@pytest.mark.real
def test_a_wrong_password_is_told_without_it(tmp_path):
    pair = make_pair(tmp_path, "smtp")
    with smtp_server(pair) as box:
        secured = {"security": "starttls", "user": "t", "password": "not-this-one", "tls_ca_file": pair.cert}
        with pytest.raises(SinkUnavailableError, match="535") as caught:
            channel(box, **secured).send(message(), LINKS)
    assert "not-this-one" not in str(caught.value)


@pytest.mark.real
def test_nobody_there_is_tried_again():
    with smtp_server() as box:
        gone = channel(box)
    with pytest.raises(SinkUnavailableError, match=r"smtp://127\.0\.0\.1"):
        gone.send(message(), LINKS)
