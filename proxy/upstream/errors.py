"""What can go wrong on the way to a provider, in the words of the error classes."""

import os
import socket
import ssl
from typing import Literal

Phase = Literal["connect", "request", "first_byte", "head", "idle", "answer", "shutdown", "budget", "hedge"]


class UpstreamError(Exception):
    """A try at a provider failed for a reason of the way, not of the answer.

    Attributes:
        phase: how far it got: `connect`, `request` (the app broke off or stalled in its own request), `first_byte`,
            `head` (what came is no answer), `idle` (silence in mid-answer), `answer` (broken in mid-answer);
            `shutdown`, `budget` and `hedge` (another target was faster) where we ended it ourselves.
        timed_out: whether a time limit of ours ended it.
    """

    def __init__(self, message: str, *, phase: Phase, timed_out: bool = False) -> None:
        super().__init__(message)
        self.phase = phase
        self.timed_out = timed_out


def connect_failure(error: Exception, host: str, port: int, limit_s: float) -> UpstreamError:
    """Word a failed connection for the app and the operator, in one sentence."""
    where = f"{host}:{port}"
    if isinstance(error, TimeoutError):
        return UpstreamError(f"no connection to {where} within {limit_s:g} s", phase="connect", timed_out=True)
    if isinstance(error, ssl.SSLCertVerificationError):
        return UpstreamError(f"the TLS certificate of {where} is not accepted: {error.verify_message}", phase="connect")
    if isinstance(error, ssl.SSLError):
        return UpstreamError(
            f"TLS with {where} failed: {getattr(error, 'reason', None) or 'handshake failure'}", phase="connect"
        )
    if isinstance(error, socket.gaierror):
        return UpstreamError(f"the address of {host} cannot be found: {error.strerror}", phase="connect")
    if isinstance(error, OSError):
        # asyncio's own words repeat the address; the system's say why.
        why = os.strerror(error.errno) if error.errno else str(error)
        return UpstreamError(f"{where} cannot be reached: {why}", phase="connect")
    return UpstreamError(f"{where} cannot be reached: {type(error).__name__}", phase="connect")


def no_place(host: str, max_connections: int, limit_s: float) -> UpstreamError:
    """Word a limit of ours: every connection that the operator allows to this provider was in use for too long."""
    message = f"all {max_connections} connections to {host} were in use for {limit_s:g} s; see max_connections"
    return UpstreamError(message, phase="connect", timed_out=True)
