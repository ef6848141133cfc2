"""Who may ask: one user who may do everything, one who may only read."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from exporters.store.errors import AUTHENTICATION_FAILED, REQUIRED_PASSWORD, StoreError
from proxy.settings import StoreSettings


@dataclass(frozen=True, slots=True)
class User:
    """A user who has been recognised."""

    name: str
    reads_only: bool


class Users:
    """The two users of the settings. A reader without a password does not exist."""

    def __init__(self, settings: StoreSettings) -> None:
        self._known = [(_digest(settings.user), _digest(settings.password), User(settings.user, reads_only=False))]
        if settings.reader_password:
            reader = User(settings.reader_user, reads_only=True)
            self._known.append((_digest(settings.reader_user), _digest(settings.reader_password), reader))

    def recognise(self, headers: Mapping[str, str], params: Mapping[str, str]) -> User:
        """The user of a request, by `X-ClickHouse-User/-Key`, Basic, or the parameters `user` and `password`.

        Raises StoreError: no credentials, wrong ones, or two kinds at once. How long it takes tells nothing.
        """
        name, password, given = _credentials(headers, params)
        name_digest, password_digest = _digest(name), _digest(password)
        found: User | None = None
        for known_name, known_password, user in self._known:
            same_name = hmac.compare_digest(known_name, name_digest)
            same_password = hmac.compare_digest(known_password, password_digest)
            if same_name and same_password and found is None:
                found = user
        if found is None:
            kind = AUTHENTICATION_FAILED if given else REQUIRED_PASSWORD
            detail = "Authentication failed: password is incorrect, or there is no user with such name."
            raise StoreError(kind, f"{name}: {detail}")
        return found


def _credentials(headers: Mapping[str, str], params: Mapping[str, str]) -> tuple[str, str, bool]:
    by_header = "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers
    by_scheme = "Authorization" in headers
    by_params = "user" in params or "password" in params
    if by_header + by_scheme + by_params > 1:
        raise StoreError(
            AUTHENTICATION_FAILED,
            "Invalid authentication: use one of X-ClickHouse-User/Key headers, the Authorization header, "
            "or the user and password parameters",
        )
    if by_header:
        return headers.get("X-ClickHouse-User", "default"), headers.get("X-ClickHouse-Key", ""), True
    if by_scheme:
        return *_basic(headers["Authorization"]), True
    return params.get("user", "default"), params.get("password", ""), by_params


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        raise StoreError(AUTHENTICATION_FAILED, f"Invalid authentication: {scheme[:20]} scheme is not supported")
    try:
        name, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise StoreError(AUTHENTICATION_FAILED, "Invalid authentication: the Basic value cannot be read") from error
    return name, password


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
