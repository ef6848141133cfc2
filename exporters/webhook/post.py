"""Signed messages by POST, as the Standard Webhooks convention has them. For sinks, and for alerts.

A message has an id that stays the same however often it is sent, and is signed together with it and with the time of
sending, so that nobody can send an old one again as a new one. Any library of that convention checks the signature.

Source: the Standard Webhooks specification 1.0.0, symmetric signatures (`v1`).
"""

import base64
import hmac
import time

from exporters.posting import Poster
from exporters.recorder.ports import SinkUnavailableError

_PREFIX = "whsec_"


class RefusedError(Exception):
    """The receiver will never take this message; `reason` is a word to count it by."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def signing_key(secret: str) -> bytes:
    """The key behind a secret: what stands in base64 behind `whsec_`, else the text itself."""
    return base64.b64decode(secret.removeprefix(_PREFIX)) if secret.startswith(_PREFIX) else secret.encode()


def sign(message_id: str, timestamp_s: int, body: bytes, secret: str) -> str:
    """The value of `webhook-signature`."""
    signed = b".".join([message_id.encode(), str(timestamp_s).encode(), body])
    return f"v1,{base64.b64encode(hmac.digest(signing_key(secret), signed, 'sha256')).decode()}"


def post_signed(poster: Poster, message_id: str, body: bytes, secret: str) -> None:
    """Send a JSON message once.

    Args:
        poster: To whom.
        message_id: The same for every try; letters, digits, `-`, `_` and `+`, as a full stop is what parts are cut by.
        body: The JSON.
        secret: What it is signed with.

    Raises:
        SinkUnavailableError: Nobody took it. It may be sent again, even where nobody knows whether it was taken.
        RefusedError: It is not to be sent again: the receiver blames the message itself.
    """
    timestamp_s = int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": "taximeter",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": sign(message_id, timestamp_s, body, secret),
    }
    status = poster.post(body, headers).status
    if 200 <= status < 300:
        return
    if status in {400, 413, 422}:
        raise RefusedError(f"status_{status}")
    raise SinkUnavailableError(f"{poster.origin} answered with status {status}")
