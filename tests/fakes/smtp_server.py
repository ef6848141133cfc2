"""A small SMTP server: real sockets, STARTTLS and AUTH, and the replies that a test asks for."""

import asyncio
import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

from tests.fakes.certificates import Pair

if TYPE_CHECKING:
    from email.message import EmailMessage


class Mailbox:
    """What came, and what is answered."""

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.sessions: list[list[str]] = []
        """Verbs of each session, in order; after STARTTLS they go on in the same one."""
        self.encrypted: list[bool] = []
        """Of each mail, whether it came over TLS."""
        self.password = "let-me-in"
        self.replies: dict[str, str] = {}
        """Verb -> the reply in place of the usual one; `CUT` ends the connection instead."""


@contextmanager
def smtp_server(tls: Pair | None = None, *, at_once: bool = False) -> Iterator[Mailbox]:
    """A server that listens until the block ends; with TLS from the first byte, or after STARTTLS."""
    box = Mailbox()
    loop = asyncio.new_event_loop()
    context = None
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Session(box, reader, writer, context, encrypted=at_once).run()
        except (OSError, asyncio.IncompleteReadError):
            pass  # a client that leaves is what some tests are about
        finally:
            writer.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context if at_once else None))
    box.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield box
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


class _Session:
    """One connection."""

    def __init__(
        self,
        box: Mailbox,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext | None,
        *,
        encrypted: bool,
    ) -> None:
        self.box, self.reader, self.writer, self.context = box, reader, writer, context
        self.encrypted = encrypted
        self.verbs: list[str] = []
        self.to: list[str] = []
        box.sessions.append(self.verbs)

    async def say(self, line: str) -> None:
        self.writer.write(line.encode() + b"\r\n")
        await self.writer.drain()

    async def run(self) -> None:
        await self.say("220 test ESMTP")
        while line := (await self.reader.readline()).decode().strip():
            verb = line.partition(" ")[0].upper()
            self.verbs.append(verb)
            ordered = self.box.replies.get(verb)
            if ordered == "CUT":
                return
            if ordered is not None:
                await self.say(ordered)
            elif not await self.answer(verb, line):
                return

    async def answer(self, verb: str, line: str) -> bool:
        if verb == "EHLO":
            offers = ["test", *(["STARTTLS"] if self.context and not self.encrypted else []), "AUTH PLAIN", "8BITMIME"]
            for offer in offers[:-1]:
                await self.say(f"250-{offer}")
            await self.say(f"250 {offers[-1]}")
        elif verb == "STARTTLS":
            await self.say("220 go on")
            await self.writer.start_tls(self.context)
            self.encrypted = True
        elif verb == "AUTH":
            given = base64.b64decode(line.split()[2]).split(b"\0")[2].decode()
            await self.say("235 welcome" if given == self.box.password else "535 no")
        elif verb == "RCPT":
            self.to.append(line.partition("<")[2].rpartition(">")[0])
            await self.say("250 ok")
        elif verb == "DATA":
            await self.data()
        elif verb == "QUIT":
            await self.say("221 bye")
            return False
        else:
            await self.say("250 ok")
        return True

    async def data(self) -> None:
        await self.say("354 go on")
        text = (await self.reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
        final = self.box.replies.get("END")
        if final is not None:
            await self.say(final)
            return
        self.box.mails.append(message_from_bytes(text, policy=policy.default))
        self.box.recipients.append(self.to)
        self.box.encrypted.append(self.encrypted)
        await self.say("250 taken")
