import email.utils
import time

import pytest

from exporters.posting import MAX_ANSWER_BYTES, Poster, retry_after_s
from exporters.recorder.ports import SinkUnavailableError
from tests.fakes.certificates import make_pair
from tests.fakes.hook_receiver import hook_receiver
from tests.fakes.until import comes_true

pytestmark = pytest.mark.real


@pytest.fixture
def hook():
    with hook_receiver() as hook:
        yield hook


@pytest.fixture
def poster(hook):
    made = Poster(f"{hook.url}/a/b?c=d", timeout_s=5.0)
    yield made
    made.close()


def test_a_post_arrives_whole(hook, poster):
    hook.next(200)
    answer = poster.post(b"body", {"x-a": "b"})
    assert (answer.status, answer.body) == (200, b"thank you")
    ((path, headers, body),) = hook.posted
    assert (path, headers["x-a"], body) == ("/a/b?c=d", "b", b"body")


@pytest.mark.parametrize("status", [302, 400, 401, 500])
def test_every_answer_is_an_answer(hook, poster, status):
    hook.next((status, {"location": hook.url}))
    assert poster.post(b"", {}).status == status
    assert len(hook.posted) == 1


def test_a_connection_is_kept(hook, poster):
    poster.check()
    for _ in range(3):
        poster.post(b"x", {})
    assert hook.connections == 1


def test_a_kept_connection_that_has_ended_is_replaced(hook, poster):
    hook.next("last")
    assert poster.post(b"1", {}).status == 200
    assert comes_true(lambda: poster.post(b"2", {}).status == 204)
    assert hook.connections == 2


def test_a_request_whose_kept_connection_was_cut_is_sent_once_more(hook, poster):
    hook.next(204, "cut")
    poster.post(b"1", {})
    assert poster.post(b"2", {}).status == 204
    assert [body for _, _, body in hook.posted] == [b"1", b"2", b"2"]


def test_a_fresh_connection_that_is_cut_is_a_failure(hook, poster):
    hook.next("cut")
    with pytest.raises(SinkUnavailableError):
        poster.post(b"1", {})
    assert len(hook.posted) == 1


def test_nobody_waits_for_ever(hook):
    hook.next("hang")
    poster = Poster(hook.url, timeout_s=0.2)
    with pytest.raises(SinkUnavailableError, match="no answer in time"):
        poster.post(b"", {})
    assert len(hook.posted) == 1


def test_where_nobody_listens_is_told_without_the_path():
    with hook_receiver() as gone:
        url = gone.url
    poster = Poster(f"{url}/secret?key=secret", timeout_s=1.0)
    for step in (poster.check, lambda: poster.post(b"", {})):
        with pytest.raises(SinkUnavailableError) as failure:
            step()
        assert url in str(failure.value)
        assert "secret" not in str(failure.value)


def test_an_answer_without_end_is_cut(hook, poster):
    hook.next((200, {"content-length": str(MAX_ANSWER_BYTES * 100)}), "last")
    hook.over.set()
    with pytest.raises(SinkUnavailableError):
        Poster(hook.url, timeout_s=0.2).post(b"", {})


def test_a_receiver_that_asks_for_time_is_left_alone(hook, poster):
    hook.next((503, {"retry-after": "60"}))
    assert poster.post(b"", {}).status == 503
    with pytest.raises(SinkUnavailableError, match="asked for time"):
        poster.post(b"", {})
    assert len(hook.posted) == 1


def test_tls_is_checked(tmp_path):
    pair, other = make_pair(tmp_path, "server"), make_pair(tmp_path, "other")
    with hook_receiver(tls=pair) as hook:
        assert Poster(hook.url, timeout_s=5.0, ca_file=pair.cert).post(b"", {}).status == 204
        for ca_file in (other.cert, None, str(tmp_path / "gone.pem")):
            with pytest.raises(SinkUnavailableError):
                Poster(hook.url, timeout_s=5.0, ca_file=ca_file).post(b"", {})


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), ("5", 5.0), (" 7 ", 7.0), ("-1", None), ("soon", None), ("1.5", None)]
)
def test_a_delay_is_read_or_is_none(value, seconds):
    assert retry_after_s(value) == seconds


def test_a_delay_may_be_a_date():
    later = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 90 < retry_after_s(later) <= 100
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
