import pytest

from proxy.sandbox.openai_style import MAX_CALLS, ROLES, argument_pieces, check_messages, read_wish
from proxy.sandbox.reply import Call
from tests.fakes.sandbox_asks import ask

HI = {"role": "user", "content": "hi"}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("f", "g")]


def wish_of(wishes="", **body):
    return read_wish(
        ask("/v1/chat/completions", {"model": "m", "messages": [HI], **body}, wishes=wishes), reasons=False
    )


def test_the_newer_limit_wins():
    assert wish_of(max_tokens=5).max_tokens == 5
    assert wish_of(max_tokens=5, max_completion_tokens=7).max_tokens == 7
    assert wish_of(max_tokens="5").max_tokens is None


@pytest.mark.parametrize(("stop", "stops"), [("a", ("a",)), (["a", 1, "b"], ("a", "b")), (None, ()), (7, ())])
def test_stop_is_a_text_or_a_list(stop, stops):
    assert wish_of(stop=stop).stops == stops


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ({}, 0),
        ({"tools": TOOLS}, 1),
        ({"tools": TOOLS, "tool_choice": "none"}, 0),
        ({"tools": TOOLS, "messages": [HI, {"role": "tool", "content": "x"}]}, 0),
        ({"tools": TOOLS, "messages": [HI, {"role": "tool", "content": "x"}], "tool_choice": "required"}, 1),
        ({"tools": TOOLS, "wishes": "tools=3"}, 3),
        ({"tools": TOOLS, "wishes": "tools=0"}, 0),
        ({"tools": TOOLS, "wishes": "tools=3", "parallel_tool_calls": False}, 1),
        ({"tools": TOOLS, "wishes": "tools=999"}, MAX_CALLS),
        ({"wishes": "tools=3"}, 0),
    ],
)
def test_tools_are_called_where_they_may_be(body, calls):
    assert wish_of(**body).calls == calls


def test_a_chosen_tool_is_the_only_one():
    chosen = wish_of(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "g"}})
    assert [tool.name for tool in chosen.tools] == ["g"]


def test_a_structured_answer_has_the_schema_asked_for():
    schema = {"type": "object", "properties": {}}
    assert (
        wish_of(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}).schema
        == schema
    )
    assert wish_of(response_format={"type": "json_object"}).schema["type"] == "object"
    assert wish_of(response_format={"type": "text"}).schema is None


@pytest.mark.parametrize("messages", [None, [], "hi", ["hi"], [{}], [{"role": ["user"]}], [{"role": "group"}]])
def test_messages_that_are_none_are_refused(messages):
    assert check_messages({"messages": messages}, ROLES)


def test_messages_with_known_roles_are_taken():
    assert check_messages({"messages": [{"role": role} for role in ROLES]}, ROLES) is None


def test_the_pieces_of_arguments_joined_are_the_arguments():
    call = Call("f", {}, '{"a":"0123456789"}')
    assert "".join(argument_pieces(call, 1)) == call.text
    assert len(argument_pieces(call, 1)) == 5
    assert argument_pieces(call, 100) == [call.text]
