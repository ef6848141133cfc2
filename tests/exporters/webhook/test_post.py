"""Signatures against the example of the convention, and what answers mean."""

import base64
import hmac
import time

import pytest

from exporters.posting import Poster
from exporters.recorder.ports import SinkUnavailableError
from exporters.webhook.post import RefusedError, post_signed, sign, signing_key
from tests.fakes.hook_receiver import hook_receiver

SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()


@pytest.fixture
def hook():
    with hook_receiver() as hook:
        yield hook


def verified(posted, secret):
    """As a receiver does it, by the words of the convention."""
    _, headers, body = posted
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(signing_key(secret), signed, "sha256").digest()).decode()
    return (
        any(hmac.compare_digest(f"v1,{expected}", one) for one in headers["webhook-signature"].split(" "))
        and abs(time.time() - int(headers["webhook-timestamp"])) < 60
    )


def test_a_signature_is_that_of_a_known_library():
    # Made with openssl: printf 'msg_1.1674087231.{"test": 2432232314}' | openssl dgst -sha256 -hmac KEY -binary | base64
    made = sign("msg_1", 1674087231, b'{"test": 2432232314}', SECRET)
    assert made == "v1,bfzE58RKKQMosWMl74JuZ6THkvmPT0B+EmYW/aZRCyc="


def test_a_secret_is_a_key_in_base64_or_text():
    assert signing_key(SECRET) == b"k" * 24
    assert signing_key("any text") == b"any text"


@pytest.mark.real
def test_what_is_posted_can_be_verified(hook):
    post_signed(Poster(hook.url, timeout_s=5.0), "id-1", b'{"a":1}', SECRET)
    (posted,) = hook.posted
    assert verified(posted, SECRET)
    assert not verified(posted, "another")
    assert posted.headers["webhook-id"] == "id-1"
    assert posted.headers["content-type"] == "application/json"


@pytest.mark.real
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_message_that_is_refused_is_not_to_be_sent_again(hook, status):
    hook.next(status)
    with pytest.raises(RefusedError) as refused:
        post_signed(Poster(hook.url, timeout_s=5.0), "id-1", b"{}", SECRET)
    assert refused.value.reason == f"status_{status}"


@pytest.mark.real
@pytest.mark.parametrize("status", [301, 401, 403, 404, 410, 429, 500, 503])
def test_whatever_else_is_answered_is_tried_again(hook, status):
    hook.next(status)
    with pytest.raises(SinkUnavailableError, match=f"answered with status {status}"):
        post_signed(Poster(f"{hook.url}/key", timeout_s=5.0), "id-1", b"{}", SECRET)
