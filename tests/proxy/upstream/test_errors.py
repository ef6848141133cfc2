"""A failed connection is told in one sentence that names the place and the reason."""

import errno
import socket
import ssl

import pytest

from proxy.upstream.errors import connect_failure


def certificate_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError(), "no connection to h:1 within 2.5 s"),
        (certificate_error(), "the TLS certificate of h:1 is not accepted: self-signed certificate"),
        (ssl.SSLError(1, "wrong version"), "TLS with h:1 failed: "),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "the address of h cannot be found: Name or"),
        (OSError(errno.ECONNREFUSED, "Connect call failed ('h', 1)"), "h:1 cannot be reached: Connection refused"),
        (OSError("no number"), "h:1 cannot be reached: no number"),
        (ValueError("secret"), "h:1 cannot be reached: ValueError"),
    ],
)
def test_the_sentence_says_where_and_why(error: Exception, said: str):
    failure = connect_failure(error, "h", 1, 2.5)

    assert str(failure).startswith(said)
    assert failure.phase == "connect"
    assert failure.timed_out == isinstance(error, TimeoutError)
