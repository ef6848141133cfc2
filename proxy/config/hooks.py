"""What every receiver of ours is configured by: a whole URL, a secret to sign with, certificates to trust."""

import base64
import binascii
import ssl
from collections.abc import Callable

from proxy.config import values
from proxy.config.problems import KeyPath, Report
from proxy.config.values import SecretRef

WEAK_SECRET_CHARACTERS = 24


class HookFields:
    """Resolves such fields; mistakes are reported, each once.

    Args:
        report: Where mistakes go.
        secret: What a reference at a path stands for; None where it stands for nothing, which is then reported.
        readable: The whole path of a file; reported where it cannot be read.
    """

    def __init__(
        self,
        report: Report,
        *,
        secret: Callable[[SecretRef | None, KeyPath], str | None],
        readable: Callable[[str, KeyPath], str],
    ) -> None:
        self._report = report
        self._secret = secret
        self._readable = readable

    def url(self, url: SecretRef | str | None, path: KeyPath) -> str | None:
        """The URL, also where it is a reference; None where there is none."""
        if not isinstance(url, SecretRef):
            return url
        found = self._secret(url, path)
        if found is None:
            return None
        try:
            return values.whole_url(found)
        except ValueError as error:
            self.add(path, f"the URL found {error}")
            return None

    def signing_secret(self, ref: SecretRef | None, path: KeyPath) -> str | None:
        """The secret that messages are signed with; one that is too weak is reported."""
        secret = self._secret(ref, path)
        if secret is not None and len(secret) < WEAK_SECRET_CHARACTERS:
            self.add(path, f"is too short to sign with: {WEAK_SECRET_CHARACTERS} characters or more")
        elif secret is not None and not _is_signing_secret(secret):
            self.add(path, "must have base64 behind whsec_")
        return secret

    def certificates(self, name: str | None, path: KeyPath) -> str | None:
        """The whole path of a file of certificates."""
        if name is None:
            return None
        file = self.once(path, name)
        if not self._report.has(path):
            try:
                ssl.create_default_context(cafile=file)
            except (ssl.SSLError, OSError):
                self.add(path, "must be a file of certificates in PEM form (BEGIN CERTIFICATE)")
        return file

    def once(self, path: KeyPath, name: str) -> str:
        """The whole path of a file; a mistake that is met twice is reported once."""
        return name if self._report.has(path) else self._readable(name, path)

    def add(self, path: KeyPath, what: str) -> None:
        """Report a mistake, unless there is one at that path already."""
        if not self._report.has(path):
            self._report.add(path, what)


def _is_signing_secret(secret: str) -> bool:
    if not secret.startswith("whsec_"):
        return True
    try:
        base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return False
    return True
