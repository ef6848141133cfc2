"""What of an answer has come is known, and where something of ours could follow."""

from typing import Any

import pytest

from policies.steps import Growth, Step
from proxy.call import Permit
from proxy.core.facts import AnswerHead
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.measuring import MeasuringObserver, observe
from tests.fakes.routes import delta

GROWS = Permit(growth=Growth((Step("tokens", 100, 5, cut=True),)))


class CallLike:
    """As much of a call as measuring looks at."""

    def __init__(self, permit=GROWS, dialect=OPENAI_CHAT, *, streaming=True):
        self.permit = permit
        self.route: Any = type("Route", (), {"dialect": dialect})
        self.streaming = streaming


def observer(call=None, status=200, content_type="text/event-stream", coding=""):
    head = AnswerHead(status=status, content_type=content_type, content_encoding=coding)
    return observe(call or CallLike(), head, 1 << 20, lambda reason: None)


@pytest.mark.parametrize(
    ("call", "head"),
    [
        (CallLike(None), {}),
        (CallLike(Permit()), {}),
        (CallLike(streaming=False), {"content_type": "application/json"}),
        (CallLike(streaming=False), {"content_type": "video/mp4"}),
        (CallLike(), {"status": 429}),
    ],
    ids=["no policies", "bounded", "whole answer", "file", "error"],
)
def test_what_is_bounded_or_billed_as_a_whole_is_not_measured(call, head):
    assert type(observer(call, **head)).__name__ == "Observer"


def test_tokens_are_those_of_the_text_where_it_can_be_read():
    one = observer()
    one.feed(delta("abcd"))
    one.feed(delta("ef"))

    assert isinstance(one, MeasuringObserver)
    assert (one.tokens, one.passed_bytes) == (3, len(delta("abcd") + delta("ef")))
    assert one.saw_content
    assert one.finish(clean=False).model == "m"


@pytest.mark.parametrize(
    ("call", "head"),
    [(CallLike(dialect=None), {}), (CallLike(), {"coding": "odd"}), (CallLike(), {"content_type": "application/json"})],
    ids=["no dialect", "unknown coding", "no events"],
)
def test_tokens_are_by_the_bytes_where_nothing_can_be_read(call, head):
    one = observer(call, **head)
    one.feed(b"x" * 101)

    assert one.tokens == 51


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_an_event_may_follow_where_one_has_ended_however_it_is_cut(end):
    one = observer()
    assert one.at_event_end
    one.feed(b"data: {}")
    assert not one.at_event_end
    for byte in end:
        one.feed(bytes((byte,)))
    assert one.at_event_end
    assert not one.at_frame_end


def test_a_frame_may_follow_where_one_has_ended():
    one = observer(CallLike(dialect=None, streaming=False), status=101, content_type="")
    assert one.at_frame_end
    one.feed(b"\x82\x05ab")
    assert not one.at_frame_end
    one.feed(b"cde")
    assert one.at_frame_end
