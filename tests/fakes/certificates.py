"""Certificates that nobody else trusts, made by openssl."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Pair(NamedTuple):
    """A self-signed certificate for this machine, and its key."""

    cert: str
    key: str


def make_pair(folder: Path, name: str) -> Pair:
    """A fresh pair in PEM files of that name."""
    pair = Pair(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-out", pair.cert, "-keyout", pair.key),
        ],
        check=True,
        capture_output=True,
    )
    return pair
