"""The users of the embedded store: made at the first start, kept in `data_dir/run`, readable by the owner alone."""

import contextlib
import os
import secrets
from pathlib import Path

import msgspec

from proxy.settings import Settings

FILE_NAME = "store-credentials.json"
_PASSWORD_BYTES = 18


class CredentialsError(Exception):
    """The file of the store's credentials cannot be used; the message says why and what to do."""


class StoreCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the file."""

    user: str
    password: str
    reader_user: str
    reader_password: str


def credentials_file(settings: Settings) -> Path:
    """Where the embedded store's credentials stand."""
    return settings.run_dir / FILE_NAME


def make_private_dirs(settings: Settings) -> None:
    """Create the data folder and its run folder, open to the owner alone. Raises OSError."""
    settings.data_dir.mkdir(parents=True, mode=0o700, exist_ok=True)
    settings.run_dir.mkdir(mode=0o700, exist_ok=True)


def with_new_credentials(settings: Settings) -> Settings:
    """The settings with the store's credentials, which are made and kept when there are none yet.

    Passwords that the configuration gives win over the kept ones. Raises CredentialsError, OSError.
    """
    if not settings.store.embedded:
        return settings
    make_private_dirs(settings)
    file = credentials_file(settings)
    kept = _read(file)
    wanted = StoreCredentials(
        user=settings.store.user,
        password=settings.store.password or (kept.password if kept else secrets.token_urlsafe(_PASSWORD_BYTES)),
        reader_user=settings.store.reader_user,
        reader_password=settings.store.reader_password
        or (kept.reader_password if kept else secrets.token_urlsafe(_PASSWORD_BYTES)),
    )
    if wanted != kept:
        _write(file, wanted)
    return _filled(settings, wanted)


def with_kept_credentials(settings: Settings) -> Settings:
    """The settings with the credentials kept on disk, unchanged when there are none. Raises CredentialsError."""
    kept = _read(credentials_file(settings)) if settings.store.embedded else None
    return _filled(settings, kept) if kept else settings


def _filled(settings: Settings, kept: StoreCredentials) -> Settings:
    store = msgspec.structs.replace(
        settings.store,
        user=kept.user,
        password=settings.store.password or kept.password,
        reader_user=kept.reader_user,
        reader_password=settings.store.reader_password or kept.reader_password,
    )
    return msgspec.structs.replace(settings, store=store)


def _read(file: Path) -> StoreCredentials | None:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CredentialsError(f"{file} cannot be read ({error.strerror}); run as the user who started it") from None
    try:
        return msgspec.json.decode(data, type=StoreCredentials)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CredentialsError(
            f"{file} is damaged; remove it, and new credentials are made at the next start"
        ) from None


def _write(file: Path, credentials: StoreCredentials) -> None:
    """Replace the file as a whole: a crash leaves the old one or the new one."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        handle.write(msgspec.json.format(msgspec.json.encode(credentials)) + b"\n")
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(file)
