from proxy.core.errors import ErrorSeen, Remedy
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.base import Provider, Route

PROVIDER = Provider(
    kind="test",
    base_urls={},
    credential_header="x-key",
    credential_scheme="Token ",
    takes_bearer=lambda path: path == "/compatible",
    route=lambda _method, _path: Route(operation="chat", error_dialect=OPENAI_CHAT),
    classify=lambda _seen: "permission",
    remedies={"42": Remedy("yes", "policy", "client")},
)


def test_a_key_stands_where_the_path_wants_it():
    assert PROVIDER.credential("/v1", "k") == ("x-key", "Token k")
    assert PROVIDER.credential("/compatible", "k") == ("authorization", "Bearer k")


def test_an_error_allows_what_its_class_allows_unless_its_code_says_otherwise():
    plain = PROVIDER.judge(ErrorSeen(status=403, code="41", message="no"))
    special = PROVIDER.judge(ErrorSeen(status=403, code="42"))

    assert (plain.error_class, plain.retry_same, plain.fallback, plain.fault) == ("permission", "no", "yes", "account")
    assert (plain.code, plain.message) == ("41", "no")
    assert (special.error_class, special.retry_same, special.fallback) == ("permission", "yes", "policy")


def test_in_a_stream_that_has_begun_nothing_is_tried_again():
    facts = PROVIDER.judge(ErrorSeen(status=200, code="42", in_stream=True))

    assert (facts.retry_same, facts.fallback, facts.fault) == ("no", "no", "client")
