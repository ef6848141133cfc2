"""Bodies that no dialect reads, read for what they bound: speech, pictures, clips, sound (`policies.unit_bounds`).

Only where there are policies: without them such a body streams through unread. One that is longer than may be held
streams through as well, and its call has no bound.
"""

from urllib.parse import parse_qsl

from policies.facts import Inputs
from policies.unit_bounds import FORM, READERS, read_units
from proxy.call import Call
from proxy.core.facts import RequestFacts
from proxy.request_head import RequestHead

_BY_QUERY = frozenset({"realtime"})
"""Operations whose query names the model: they begin with an upgrade, which has no body."""


def is_read(call: Call, head: RequestHead, most_bytes: int) -> bool:
    """Whether a body that is still on its way is read before the call goes on.

    Args:
        call: Its operation decides.
        head: Says what is to come.
        most_bytes: The longest that is held.
    """
    if call.operation not in READERS or head.shared.content_encoding:
        return False
    declared = head.declared_length
    if declared is None:
        return not _content_type(call).lower().startswith(FORM)
    return declared.isdigit() and int(declared) <= most_bytes


def count(call: Call, body: bytes | None) -> Inputs | None:
    """What a body that no dialect has read bounds; the call learns its model from it."""
    if call.operation in _BY_QUERY:
        named = dict(parse_qsl(call.query_text, max_num_fields=64)).get("model")
        call.learn(RequestFacts(model=named))
        return None
    reading = read_units(call.operation, body, _content_type(call)) if body else None
    if reading is None:
        return None
    call.learn(reading.request)
    return reading.inputs


def _content_type(call: Call) -> str:
    return str(call.place.shared.head.values.get(b"content-type", b""), "latin-1")
