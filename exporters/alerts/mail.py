"""Alerts by email.

What: one plain text mail for each message, over SMTP: with STARTTLS (a server that offers none gets nothing), with TLS
from the first byte, or without either. `Message-ID` stays the same for every try, so that mail programs show one.

Config: `alerts.channels.NAME` with `kind: email`, `host`, `port`, `security` (`starttls`, `tls`, `none`), `user`,
`password`, `sender`, `to`, `timeout`, `tls.ca_file`.

Example: `alerts: {channels: {m: {kind: email, host: smtp.example.com, sender: t@example.com, to: [b@example.com]}}}`

Source: RFC 5321, RFC 5322; Python's smtplib.
"""

import contextlib
import email.policy
import email.utils
import smtplib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage

from exporters.alerts.alert import Message, Notice
from exporters.alerts.channel import Links
from exporters.alerts.reading import clean
from exporters.alerts.words import EVENTS, SHOWN, command_of, headline, severity_of, when
from exporters.recorder.ports import SinkUnavailableError
from exporters.webhook.post import RefusedError
from proxy.settings import EmailChannel

_FINAL = 500
"""Replies from here on are final (RFC 5321, 4.2.1)."""


class EmailAlerts:
    """One group of recipients. Nothing is kept open: mails are few, and servers end idle connections."""

    def __init__(self, channel: EmailChannel) -> None:
        self.name = channel.name
        self._channel = channel
        self._origin = f"smtp://{channel.host}:{channel.port}"

    def send(self, message: Message, links: Links) -> None:
        """See Channel."""
        channel = self._channel
        mail = mail_of(message, links, sender=channel.sender, recipients=channel.recipients)
        try:
            with self._connected() as server:
                server.send_message(mail, channel.sender, channel.recipients)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            if all(code >= _FINAL for code in codes):
                raise RefusedError(f"recipients_{codes[0]}") from error
            raise self._unavailable("the recipients are refused for now") from error
        except smtplib.SMTPDataError as error:
            if error.smtp_code >= _FINAL:
                raise RefusedError(f"data_{error.smtp_code}") from error
            raise self._unavailable(f"it answered with {error.smtp_code}") from error
        except smtplib.SMTPResponseException as error:
            raise self._unavailable(f"{type(error).__name__}, it answered with {error.smtp_code}") from error
        except (smtplib.SMTPException, OSError) as error:
            said = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise self._unavailable(said) from error

    def close(self) -> None:
        """Nothing is held."""

    @contextlib.contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        channel = self._channel
        if channel.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                channel.host, channel.port, timeout=channel.timeout_s, context=self._context()
            )
        else:
            server = smtplib.SMTP(channel.host, channel.port, timeout=channel.timeout_s)
        with server:
            if channel.security == "starttls":
                server.starttls(context=self._context())
            if channel.user is not None:
                server.login(channel.user, channel.password or "")
            yield server

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._channel.tls_ca_file)

    def _unavailable(self, said: str) -> SinkUnavailableError:
        return SinkUnavailableError(f"{self._origin}: {said}")


def mail_of(message: Message, links: Links, *, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """The mail of a message."""
    mail = EmailMessage(email.policy.SMTP)
    severity = message.severity if any(one.event != "resolved" for one in message.notices) else "resolved"
    mail["Subject"] = clean(f"[taximeter] {severity}: {headline(message)}")
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    at_s = max(notice.at_ns for notice in message.notices) // 10**9
    mail["Date"] = email.utils.format_datetime(datetime.fromtimestamp(at_s, UTC))
    mail["Message-ID"] = f"<{message.message_id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    parts = [_part(notice) for notice in message.notices[:SHOWN]]
    left = len(message.notices) - SHOWN
    mail.set_content("\n\n".join([*parts, *([f"And {left} more."] if left > 0 else []), links.console]) + "\n")
    return mail


def _part(notice: Notice) -> str:
    signal, command = notice.signal, command_of(notice)
    lines = [
        f"{EVENTS[notice.event]}{signal.title}",
        f"  {signal.text}",
        f"  {severity_of(notice)}, {when(notice)}",
        *(f"  {name}: {value}" for name, value in signal.fields.items()),
    ]
    return "\n".join([*lines, *([f"  {command}"] if command else [])])
