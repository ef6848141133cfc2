"""Ends an answer under way because a budget is used up: said in the dialect's own words, and never as a proper end."""

from policies.decision import Deny
from proxy.call import Call
from proxy.core.web_socket import POLICY_VIOLATION, close_frame
from proxy.exchange import Exchange
from proxy.held_exchange import HeldExchange
from proxy.measuring import EVENTS, MeasuringObserver
from proxy.replies import Reply, error_event
from proxy.upstream.errors import UpstreamError


def cut(call: Call, exchange: Exchange, observer: MeasuringObserver, deny: Deny) -> None:
    """End the exchange.

    Args:
        call: Whose answer it is.
        exchange: Under way, its head with the app.
        observer: Of it.
        deny: What the app is told.
    """
    reply = call.cut = Reply(status=deny.status, code=deny.code, message=deny.message)
    call.reasons.extend(deny.reasons)
    error = UpstreamError(deny.message, phase="budget")
    if isinstance(exchange, HeldExchange):
        exchange.abandon(error)  # it words the end of a stream itself
    else:
        exchange.end_with(_last_words(call, exchange, observer, reply), error)


def _last_words(call: Call, exchange: Exchange, observer: MeasuringObserver, reply: Reply) -> bytes:
    """What is put behind the provider's bytes; nothing where it would be taken for a part of them."""
    head = exchange.head
    if exchange.in_tunnel:
        return close_frame(POLICY_VIOLATION, f"Taximeter: {reply.message}") if observer.at_frame_end else b""
    if head is None or head.content_type != EVENTS or head.content_encoding:
        return b""
    # An event that was begun is ended: the app is to read ours, not ours inside of it.
    before = b"" if observer.at_event_end else b"\n\n"
    return before + error_event(reply, call.route.error_dialect, call.call_id)
