import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporters.otlp.transport import transport_to
from exporters.recorder.ports import SinkUnavailableError
from tests.fakes.certificates import make_pair
from tests.fakes.otlp_receivers import RECEIVERS
from tests.fakes.otlp_settings import target

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    return make_pair(folder, "server"), make_pair(folder, "client"), make_pair(folder, "stranger")


@pytest.mark.parametrize("protocol", RECEIVERS)
def test_a_receiver_with_a_certificate_of_the_operators_own_is_trusted_by_it(protocol, pairs):
    server, _, _ = pairs
    with RECEIVERS[protocol](tls=server) as receiver:
        transport = transport_to(target(receiver, tls_ca_file=server.cert))
        transport.check()
        assert transport.send(ExportTraceServiceRequest()).verdict == "taken"
        transport.close()


@pytest.mark.parametrize("protocol", RECEIVERS)
def test_a_receiver_that_nobody_knows_gets_nothing(protocol, pairs):
    server, _, stranger = pairs
    with RECEIVERS[protocol](tls=server) as receiver:
        transport = transport_to(target(receiver, tls_ca_file=stranger.cert, timeout_s=1.0))
        with pytest.raises(SinkUnavailableError):
            transport.send(ExportTraceServiceRequest())
        transport.close()
        assert receiver.requests == []


@pytest.mark.parametrize("protocol", RECEIVERS)
def test_a_receiver_that_asks_for_our_certificate_gets_it(protocol, pairs):
    server, client, _ = pairs
    with RECEIVERS[protocol](tls=server, client=client.cert) as receiver:
        anonymous = transport_to(target(receiver, tls_ca_file=server.cert, timeout_s=1.0))
        with pytest.raises(SinkUnavailableError):
            anonymous.send(ExportTraceServiceRequest())
        anonymous.close()
        known = transport_to(
            target(receiver, tls_ca_file=server.cert, tls_cert_file=client.cert, tls_key_file=client.key)
        )
        assert known.send(ExportTraceServiceRequest()).verdict == "taken"
        known.close()


@pytest.mark.parametrize("protocol", RECEIVERS)
def test_certificates_that_are_gone_are_told_and_end_nothing(protocol, pairs, tmp_path):
    with RECEIVERS[protocol](tls=pairs[0]) as receiver:
        transport = transport_to(target(receiver, tls_ca_file=str(tmp_path / "gone.pem")))
        with pytest.raises(SinkUnavailableError):
            transport.send(ExportTraceServiceRequest())
        transport.close()
