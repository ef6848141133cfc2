"""Chooses the way to a receiver."""

from exporters.otlp.over_http import HttpTransport
from exporters.otlp.sending import Transport
from proxy.settings import OtlpTarget


def transport_to(target: OtlpTarget) -> Transport:
    """A transport for the target's protocol; it connects to nothing yet."""
    if target.protocol == "grpc":
        # Imported here: who speaks HTTP has no need of gRPC in the process.
        from exporters.otlp.over_grpc import GrpcTransport  # noqa: PLC0415

        return GrpcTransport(target)
    return HttpTransport(target)
