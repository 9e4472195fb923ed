"""The scripted server, driven by the real SDK over loopback."""

from __future__ import annotations

import ast
import contextlib
import http.client
import json
import os
import re
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.system.secret_values import secrets_of
from executor.testing import (
    KEY,
    Request,
    Result,
    ScriptedServer,
    bash,
    done,
    edit,
    limited,
    overloaded,
    refused,
    say,
    server_error,
    stall,
    together,
    truncated,
    usage,
    use,
)
from executor.testing.protocol import refusal
from executor.testing.script import MOST_REQUESTS, Script
from executor.testing.server import MOST_BYTES, MOST_CONNECTIONS

anthropic = pytest.importorskip("anthropic")
httpx2 = pytest.importorskip("httpx2")

HELLO = {"role": "user", "content": "hello"}
LONG = "a text that is long enough to come in several pieces: ✓ \n" * 3
SECRET = "tml-Zq8Rk2Vx7Lw3Np5Ts9Yb1Mc4"
FAR_S = 30.0
SOON_S = 0.2
LATE = (httpx2.ReadTimeout, anthropic.APITimeoutError)  # the latter when the headers were late too
HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "test-an-agent-without-a-key.md"


@contextlib.contextmanager
def playing(script, *, retries=0, timeout=FAR_S):
    """The server with a client of the SDK that was led there."""
    with ScriptedServer(script) as server, client_of(server, retries=retries, timeout=timeout) as client:
        yield server, client


def client_of(server, *, retries=0, timeout=FAR_S):
    environ = server.environ
    return anthropic.Anthropic(
        base_url=environ["ANTHROPIC_BASE_URL"],
        api_key=environ["ANTHROPIC_API_KEY"],
        max_retries=retries,
        timeout=timeout,
    )


def ask(client, *messages, **more):
    return client.messages.create(model="scripted", max_tokens=100, messages=[*(messages or (HELLO,))], **more)


def ask_streaming(client, *messages):
    with client.messages.stream(model="scripted", max_tokens=100, messages=[*(messages or (HELLO,))]) as stream:
        return stream.get_final_message()


def said(reply):
    return {"role": "assistant", "content": [block.to_dict() for block in reply.content]}


def answers(*results, **more):
    blocks = [{"type": "tool_result", "tool_use_id": one, "content": text} | more for one, text in results]
    return {"role": "user", "content": blocks}


def shape(message):
    """What both ways of asking must agree on."""
    blocks = [(block.type, getattr(block, "text", ""), getattr(block, "input", {})) for block in message.content]
    return message.stop_reason, blocks, message.usage.input_tokens, message.usage.output_tokens


def complaint(server, **more):
    with pytest.raises(AssertionError) as raised:
        server.check(**more)
    return str(raised.value)


both_ways = pytest.mark.parametrize("way", [ask, ask_streaming])


# Turns


@both_ways
@pytest.mark.parametrize(
    ("reply", "stop_reason", "content"),
    [
        (say("hello"), "end_turn", [{"type": "text", "text": "hello"}]),
        (say(LONG), "end_turn", [{"type": "text", "text": LONG}]),
        (bash("ls -l"), "tool_use", [{"name": "bash", "input": {"command": "ls -l"}}]),
        (
            use("look", name="a", deep={"b": [1, None]}),
            "tool_use",
            [{"input": {"name": "a", "deep": {"b": [1, None]}}}],
        ),
        (use("nothing"), "tool_use", [{"name": "nothing", "input": {}}]),
        (
            edit("create", "a.py", file_text=LONG),
            "tool_use",
            [
                {
                    "name": "str_replace_based_edit_tool",
                    "input": {"command": "create", "path": "a.py", "file_text": LONG},
                }
            ],
        ),
        (
            done({"it runs": "exit 0", "it is fast": {"met": False}}, "well"),
            "tool_use",
            [
                {
                    "name": "done",
                    "input": {
                        "criteria": {"it runs": {"met": True, "evidence": "exit 0"}, "it is fast": {"met": False}},
                        "summary": "well",
                    },
                }
            ],
        ),
        (
            together(say("two"), bash("a"), bash("b")),
            "tool_use",
            [{"type": "text"}, {"id": "toolu_0001_01"}, {"id": "toolu_0001_02"}],
        ),
        (truncated(say("half a text")), "max_tokens", [{"text": "half "}]),
        (truncated(use("x", a="whole", b=3)), "max_tokens", [{"input": {"a": "whole"}}]),
        (truncated(use("x")), "max_tokens", [{"name": "x", "input": {}}]),
        (truncated(together(bash("whole"), bash("cuts"))), "max_tokens", [{"input": {"command": "whole"}}, {}]),
    ],
)
def test_the_sdk_reads_a_turn_as_the_script_says_it(way, reply, stop_reason, content):
    with playing([reply]) as (_, client):
        message = way(client)
    blocks = [block.to_dict() for block in message.content]
    assert message.stop_reason == stop_reason
    assert [{key: block.get(key) for key in wanted} for block, wanted in zip(blocks, content, strict=True)] == content


@both_ways
def test_a_reply_costs_what_it_is_billed(way):
    with playing([say("a").billed(usage(input=7, output=8, cache_read=9, cache_write=10))]) as (_, client):
        told = way(client).usage
    assert (told.input_tokens, told.output_tokens) == (7, 8)
    assert (told.cache_read_input_tokens, told.cache_creation_input_tokens) == (9, 10)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
inputs = st.dictionaries(
    texts.filter(bool), st.one_of(texts, st.integers(-9, 9), st.none(), st.lists(texts)), max_size=4
)
replies = st.one_of(texts.map(say), inputs.map(lambda given: use("tool", **given)))


def test_a_stream_says_what_the_whole_reply_says():
    script = []
    with playing(lambda _: script[0]) as (_, client):

        @given(st.lists(replies, min_size=1, max_size=4).map(lambda many: together(*many)))
        def agrees(turn):
            script[:] = [turn]
            assert shape(ask_streaming(client)) == shape(ask(client))

        agrees()


def test_a_cut_call_looks_whole_but_for_its_stop_reason():
    with playing([truncated(bash("rm -rf build/x"))]) as (_, client):
        message = ask(client)
    assert (message.stop_reason, message.content[0].input) == ("max_tokens", {"command": "rm -rf "})


def test_of_a_streamed_cut_call_the_sdk_keeps_what_was_whole():
    with playing([truncated(use("x", a="whole", b="cut in two"))]) as (_, client):
        message = ask_streaming(client)
    assert (message.stop_reason, message.content[0].input) == ("max_tokens", {"a": "whole"})


def test_a_stream_has_every_kind_of_event():
    with playing([together(say("a"), bash("ls"))]) as (server, _):
        _, body = post(server, {**asking(HELLO), "stream": True})
    kinds = re.findall(rb"^event: (.*)$", body, re.MULTILINE)
    assert {kind.decode() for kind in kinds} == {
        *("message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    }
    assert b"text_delta" in body
    assert b"input_json_delta" in body


def test_a_stream_of_a_cut_call_is_no_whole_json():
    with playing([truncated(bash("rm -rf build"))]) as (server, _):
        _, body = post(server, {**asking(HELLO), "stream": True})
    partial = "".join(json.loads(one) for one in re.findall(r'"partial_json": ("(?:[^"\\]|\\.)*")', body.decode()))
    assert partial == '{"command": "rm -rf'


@both_ways
def test_a_conversation_goes_on_with_what_was_answered(way):
    with playing([together(bash("a"), bash("b")), say("thanks")]) as (server, client):
        first = way(client)
        way(client, HELLO, said(first), answers((first.content[0].id, "A"), (first.content[1].id, "B"), is_error=True))
        assert server.requests[1].results == (
            Result("toolu_0001_00", "A", is_error=True),
            Result("toolu_0001_01", "B", is_error=True),
        )
        server.check()


def test_results_are_read_from_blocks_too():
    with playing([bash("a"), say("")]) as (server, client):
        first = ask(client)
        blocks = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
        ask(client, HELLO, said(first), answers((first.content[0].id, blocks)))
        assert [result.text for result in server.requests[1].results] == ["one two"]


# Errors


@both_ways
@pytest.mark.parametrize(
    ("reply", "error", "kind"),
    [
        (refused(400, "too odd"), anthropic.BadRequestError, "invalid_request_error"),
        (refused(), anthropic.AuthenticationError, "authentication_error"),
        (refused(403), anthropic.PermissionDeniedError, "permission_error"),
        (refused(404), anthropic.NotFoundError, "not_found_error"),
        (refused(413), anthropic.APIStatusError, "request_too_large"),
        (limited(), anthropic.RateLimitError, "rate_limit_error"),
        (server_error(), anthropic.InternalServerError, "api_error"),
        (server_error(504), anthropic.APIStatusError, "timeout_error"),
        (overloaded(), anthropic.APIStatusError, "overloaded_error"),
    ],
)
def test_an_error_is_the_one_that_the_sdk_knows(way, reply, error, kind):
    with playing([reply]) as (_, client), pytest.raises(error) as raised:
        way(client)
    assert raised.value.status_code == reply.status
    assert raised.value.body["error"] == {"type": kind, "message": reply.message}
    assert raised.value.request_id == "req_0001"


@both_ways
@pytest.mark.parametrize("reply", [overloaded(), limited(429, retry_after=0.01), overloaded(retry_after=0.001)])
def test_the_sdk_comes_again_when_it_is_told_to(way, reply):
    with playing([reply, reply, say("at last")], retries=2) as (server, client):
        assert way(client).content[0].text == "at last"
        assert [request.headers["x-stainless-retry-count"] for request in server.requests] == ["0", "1", "2"]
        server.check()


@pytest.mark.parametrize(("wait", "seconds", "ms"), [(7, "7", "7000"), (0, "0", "1")])
def test_a_wait_is_told_in_a_way_that_the_sdk_obeys(wait, seconds, ms):
    with playing([limited(retry_after=wait)]) as (_, client), pytest.raises(anthropic.RateLimitError) as raised:
        ask(client)
    headers = raised.value.response.headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == (seconds, ms)


def test_a_refused_key_is_not_tried_again():
    with playing([refused(401), say("never")], retries=2) as (server, client):
        with pytest.raises(anthropic.AuthenticationError):
            ask(client)
        assert len(server.requests) == 1


# Silences


silences = pytest.mark.parametrize("within", [None, say(LONG), bash(LONG)], ids=["nothing", "text", "call"])


@silences
@pytest.mark.parametrize(("way", "error"), [(ask, anthropic.APITimeoutError), (ask_streaming, LATE)])
def test_a_silence_ends_at_the_limit_of_the_client(way, error, within):
    with playing([stall(FAR_S, within)], timeout=SOON_S) as (server, client):
        with pytest.raises(error):
            way(client)
        server.check()


@silences
@pytest.mark.parametrize(
    ("way", "error"), [(ask, anthropic.APIConnectionError), (ask_streaming, httpx2.RemoteProtocolError)]
)
def test_a_connection_that_ends_too_early_is_no_reply(way, error, within):
    with playing([stall(0, within)]) as (server, client):
        with pytest.raises(error):
            way(client)
        server.check()


def test_a_stream_stops_in_the_middle_of_an_event():
    with playing([stall(0, within=say(LONG))]) as (server, _), pytest.raises(http.client.IncompleteRead) as raised:
        post(server, {**asking(HELLO), "stream": True})
    assert raised.value.partial.count(b"event: ") > 2
    assert not raised.value.partial.endswith(b"\n")


def test_after_a_silence_the_next_try_gets_the_next_reply():
    def wakes(request):
        return stall(FAR_S) if request.headers["x-stainless-retry-count"] == "0" else say("here")

    with playing(wakes, retries=5, timeout=SOON_S) as (server, client):
        assert ask(client).content[0].text == "here"
        server.check()


def test_what_was_said_before_a_silence_need_not_be_answered():
    with playing([stall(0, within=bash("ls")), say("again")], timeout=FAR_S) as (server, client):
        with pytest.raises(anthropic.APIConnectionError):
            ask(client)
        ask(client)
        server.check()


# Scripts


def test_after_the_script_every_request_fails_at_once():
    with playing([say("last")], retries=2) as (server, client):
        ask(client)
        with pytest.raises(anthropic.InternalServerError, match="the script has no more replies"):
            ask(client)
        assert len(server.requests) == 2
        assert "request 2: the script has no more replies" in complaint(server)


def test_a_script_may_be_a_function_of_the_request():
    def echo(request):
        return say(f"{request.number} {request.body['messages'][-1]['content']} {request.tools}")

    with playing(echo) as (server, client):
        tools = [{"type": "bash_20250124", "name": "bash"}, {"name": "done", "input_schema": {"type": "object"}}]
        assert ask(client, tools=tools).content[0].text == "1 hello ('bash', 'done')"
        assert ask(client).content[0].text == "2 hello ()"
        server.check()


def test_a_function_that_returns_nothing_is_at_its_end():
    with playing(lambda _: None) as (server, client):
        with pytest.raises(anthropic.InternalServerError, match="no more replies"):
            ask(client)
        assert "no more replies" in complaint(server)


def test_a_function_may_look_at_the_server():
    found = []

    def look(request):
        found.append(len(server.requests))
        server.check()
        return say("")

    with playing(look) as (server, client):
        ask(client)
        ask(client)
    assert found == [0, 1]


@pytest.mark.parametrize(
    ("script", "words"), [(lambda _: 1 // 0, "ZeroDivisionError"), (lambda _: "hello", "the script gave a str")]
)
def test_a_function_that_breaks_is_told_to_both_sides(script, words):
    with playing(script, retries=2) as (server, client):
        with pytest.raises(anthropic.InternalServerError, match=words):
            ask(client)
        assert words in complaint(server)
        assert len(server.requests) == 1


def test_a_script_of_other_things_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match="reply 2 of the script is a str: make it with say"):
        ScriptedServer([say("a"), "b"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: refused(418), "no error 418; it has 400, 401"),
        (together, "together takes"),
        (lambda: together(say("a"), overloaded()), "together takes"),
        (lambda: together(truncated(bash("ls"))), "together takes"),
        (lambda: truncated(stall(1)), "truncated takes"),
        (lambda: stall(-1), "from 0 to 600"),
        (lambda: stall(601), "from 0 to 600"),
        (lambda: stall(1, within=refused()), "within a turn"),
    ],
)
def test_a_reply_that_cannot_be_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_reply_is_frozen():
    with pytest.raises(AttributeError, match="frozen"):
        say("a").status = 500


# What the real service refuses


CALL = {"type": "tool_use", "id": "a", "name": "bash", "input": {}}
ANSWER = {"type": "tool_result", "tool_use_id": "a", "content": ""}
ASKED = {"role": "assistant", "content": [CALL]}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([ASKED], "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a"),
        ([ASKED, HELLO], "without `tool_result` blocks"),
        ([ASKED, HELLO, ASKED, answers(("a", ""))], "without `tool_result` blocks"),
        ([ASKED, answers(("a", ""), ("a", ""))], "messages.2: each tool_use must have a single result"),
        ([ASKED, answers(("a", ""), ("b", ""))], "unexpected `tool_use_id` found in `tool_result` blocks: b"),
        ([ASKED, answers(("a", "")), ASKED | {"content": "ok"}, answers(("a", ""))], "messages.4: unexpected"),
        ([answers(("a", ""))], "messages.0: unexpected"),
        ([{"role": "assistant", "content": [CALL, CALL]}, answers(("a", ""))], "must be unique"),
        ([ASKED, {"role": "user", "content": [{"type": "text", "text": "x"}, ANSWER]}], "must come first"),
        ([{"role": "tool", "content": ""}], "messages.1.role: Input should be one of user, assistant"),
        ([{"role": "user", "content": 3}], "messages.1.content: Input should be"),
    ],
)
def test_a_conversation_that_the_service_refuses_is_refused(messages, words):
    with playing([say("not yet"), say("well")]) as (server, client):
        with pytest.raises(anthropic.BadRequestError, match=re.escape(words)) as raised:
            ask(client, HELLO, *messages)
        assert raised.value.body["error"]["type"] == "invalid_request_error"
        assert ask(client).content[0].text == "not yet"
        assert f"request 1: refused with 400: {raised.value.body['error']['message']}" in complaint(server)


@pytest.mark.parametrize(
    "messages",
    [
        [HELLO, ASKED, {"role": "user", "content": [ANSWER, {"type": "text", "text": "and more"}]}],
        [HELLO, ASKED, answers(("a", "")), HELLO],
        [HELLO, ASKED, {"role": "system", "content": "skills"}, answers(("a", ""))],
        [HELLO, HELLO, {"role": "assistant", "content": "as I said"}, HELLO],
        [HELLO, ASKED, answers(("a", "")), ASKED, answers(("a", ""))],
    ],
)
def test_a_conversation_that_the_service_takes_is_taken(messages):
    with playing([say("well")]) as (server, client):
        assert ask(client, *messages).content[0].text == "well"
        server.check()


def asking(*messages):
    return {"model": "scripted", "max_tokens": 1, "messages": [*messages]}


def requested(body, **headers):
    given = {"authorization": "Bearer x", "anthropic-version": "2023-06-01", **headers}
    return Request(1, "/v1/messages", given, body, json.dumps(body))


conversations = st.lists(st.integers(0, 3), min_size=1, max_size=4)


def conversation(sizes):
    """A conversation whose turns have so many calls each, all of them answered."""
    messages = [HELLO]
    for turn, size in enumerate(sizes):
        ids = [f"call_{turn}_{at}" for at in range(size)]
        messages.append({"role": "assistant", "content": [CALL | {"id": one} for one in ids]})
        messages.append(answers(*((one, "ok") for one in reversed(ids))))
    return messages


@given(conversations)
def test_a_conversation_with_every_call_answered_once_is_taken(sizes):
    assert refusal(requested(asking(*conversation(sizes)))) is None


@given(conversations.filter(any), st.data())
def test_a_conversation_with_one_answer_gone_or_doubled_is_refused(sizes, data):
    messages = conversation(sizes)
    turn = data.draw(st.sampled_from([message for message in messages[2::2] if message["content"]]))
    at = data.draw(st.integers(0, len(turn["content"]) - 1))
    turn["content"][at : at + 1] = [turn["content"][at]] * data.draw(st.sampled_from([0, 2]))
    assert refusal(requested(asking(*messages))).status == 400


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"anthropic-version": ""}, 400, "anthropic-version: header is required"),
        ({"authorization": ""}, 401, "x-api-key header is required"),
        ({"authorization": "", "x-api-key": "x"}, 200, ""),
    ],
)
def test_the_headers_of_the_service_are_needed(headers, status, words):
    reply = refusal(requested(asking(HELLO), **headers))
    assert (reply.status, reply.message) == (status, words) if words else reply is None


@pytest.mark.parametrize("name", ["model", "max_tokens", "messages"])
def test_a_request_without_what_it_needs_is_refused(name):
    body = {key: value for key, value in asking(HELLO).items() if key != name}
    assert refusal(requested(body)).message == f"{name}: Field required"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused_and_kept(body):
    with playing([]) as (server, _):
        status, told = post(server, body)
        assert (status, json.loads(told)["error"]["message"]) == (400, "the request body is not a JSON object")
        assert [request.raw for request in server.requests] == [body.decode("utf-8", "replace")]


def post(server, body, path="/v1/messages", **headers):
    """Post without the SDK; return (status, body)."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=FAR_S)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request("POST", path, raw, {"x-api-key": "x", "anthropic-version": "2023-06-01", **headers})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_body_that_is_too_large_is_not_read():
    with playing([]) as (server, _), socket.create_connection(address_of(server), timeout=FAR_S) as line:
        line.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MOST_BYTES + 1))
        assert line.makefile("rb").readline().startswith(b"HTTP/1.1 413 ")


def address_of(server):
    return "127.0.0.1", int(server.url.rpartition(":")[2])


# Other addresses


def test_tokens_can_be_counted_without_using_up_the_script():
    with playing([say("left")]) as (server, client):
        few = client.messages.count_tokens(model="scripted", messages=[HELLO]).input_tokens
        many = client.messages.count_tokens(model="scripted", messages=[HELLO | {"content": LONG}]).input_tokens
        assert 0 < few < many
        assert server.requests == ()


def test_counting_refuses_what_asking_refuses():
    with playing([]) as (_, client), pytest.raises(anthropic.BadRequestError, match="tool_result"):
        client.messages.count_tokens(model="scripted", messages=[HELLO, ASKED])


def test_what_follows_the_path_is_kept():
    with playing([say("beta")]) as (server, _):
        assert post(server, asking(HELLO), path="/v1/messages?beta=true")[0] == 200
        assert server.requests[0].path == "/v1/messages?beta=true"


def test_a_path_that_is_not_there_is_told_to_both_sides():
    with playing([]) as (server, _):
        status, body = post(server, asking(HELLO), path="/v1/v1/messages")
        assert status == 404
        assert b"this server has /v1/messages" in body
        assert "POST /v1/v1/messages: nothing is there" in complaint(server)


@pytest.mark.parametrize("verb", ["GET", "HEAD"])
def test_a_probe_without_a_body_is_no_trouble(verb):
    with playing([]) as (server, _):
        connection = http.client.HTTPConnection(*address_of(server), timeout=FAR_S)
        connection.request(verb, "/")
        assert connection.getresponse().status == 404
        connection.close()
        server.check()


@pytest.mark.parametrize("family", ["sonnet", "opus", "haiku"])
def test_each_family_has_a_model(family):
    with playing([]) as (server, client):
        assert [family in one.id for one in client.models.list(limit=100)].count(True) == 1
        server.check()


# What the user may check


def test_a_script_that_was_played_to_its_end_is_well():
    with playing([bash("ls"), done({"it is there": "ls"})]) as (server, client):
        first = ask(client)
        ask(client, HELLO, said(first), answers((first.content[0].id, "a.txt")))
        server.check(secrets=[SECRET])


def test_replies_that_nobody_asked_for_are_wrong():
    with playing([say("a"), say("b"), say("c")]) as (server, client):
        ask(client)
        assert re.search(r"2 replies of the script nobody asked for; the next is Reply\(.*'b'", complaint(server))


def test_a_call_that_was_forgotten_is_wrong():
    with playing([together(bash("a"), use("look")), say("b")]) as (server, client):
        ask(client)
        ask(client)
        told = complaint(server)
        assert "reply 1: its call of bash (toolu_0001_00) was never answered" in told
        assert "reply 1: its call of look (toolu_0001_01) was never answered" in told


def test_calls_may_stay_open_where_the_user_says_so():
    with playing([together(bash("a"), done())]) as (server, client):
        ask(client)
        assert "bash" in complaint(server)
        server.check(open_calls=["bash", "done"])


def test_a_cut_call_may_stay_open():
    with playing([truncated(bash("rm -rf build"))]) as (server, client):
        ask(client)
        server.check()


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"export KEY={SECRET}\n",
        SECRET[4:14],
        "dG1sLVpxOFJrMlZ4N0x3M05wNVRzOVliMU1jNA==",
        json.dumps({"key": SECRET}),
    ],
)
def test_a_secret_in_a_body_is_wrong_in_any_form_and_is_not_repeated(text):
    with playing([say("")]) as (server, client):
        ask(client, {"role": "user", "content": text})
        told = complaint(server, secrets=["hunter2", SECRET])
        assert "request 1: secret 2 of those passed is in its body" in told
        assert "secret 1" not in told
        assert SECRET[4:10] not in told
        server.check(secrets=["hunter2"])


def test_a_short_secret_is_seen_too():
    with playing([say("")]) as (server, client):
        ask(client, {"role": "user", "content": "pw: ab1"})
        assert "secret 1" in complaint(server, secrets=["ab1"])


def test_the_key_of_the_server_in_a_body_is_wrong():
    with playing([say("")]) as (server, client):
        ask(client, {"role": "user", "content": f"ANTHROPIC_API_KEY={KEY}"})
        assert "request 1: the key of this server is in its body" in complaint(server)


def test_the_key_of_the_server_is_masked_like_any_other():
    with ScriptedServer([]) as server:
        assert secrets_of(server.environ) == (KEY,)


def test_all_that_is_wrong_is_told_at_once():
    with playing([bash("a"), bash("b"), say("c")]) as (server, client):
        ask(client)
        with pytest.raises(anthropic.BadRequestError):
            ask(client, HELLO, ASKED)
        assert complaint(server).count("\n- ") == 3


# Ends


def test_nothing_of_a_server_is_left_when_it_is_over():
    before = set(threading.enumerate())
    with playing([say("")]) as (server, client):
        ask(client)
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address_of(server), timeout=FAR_S)


def test_a_server_ends_while_a_client_waits_in_a_silence():
    before = set(threading.enumerate())
    with ScriptedServer([stall(600)]) as server, socket.create_connection(address_of(server), timeout=FAR_S) as line:
        raw = json.dumps(asking(HELLO)).encode()
        head = "POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: x\r\nanthropic-version: 1\r\n"
        line.sendall(f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
        assert line.recv(9) == b"HTTP/1.1 "
        server.close()
        assert set(threading.enumerate()) == before
        assert ends(line)


def test_a_server_ends_while_a_connection_says_nothing():
    before = set(threading.enumerate())
    with playing([say("")]) as (server, client), socket.create_connection(address_of(server), timeout=FAR_S) as line:
        ask(client)
        server.close()
        assert ends(line)
    assert set(threading.enumerate()) == before


def ends(line):
    """Read to the end; a connection that was reset has ended too."""
    with contextlib.suppress(ConnectionResetError):
        while line.recv(65536):
            pass
    return True


def test_a_caller_that_goes_away_in_mid_request_is_no_trouble():
    with playing([say("a")]) as (server, client):
        with socket.create_connection(address_of(server), timeout=FAR_S) as line:
            line.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        ask(client)
        server.check()


def test_what_was_asked_can_be_read_after_the_end():
    with playing([say("")]) as (server, client):
        ask(client, system="be brief")
    [request] = server.requests
    assert request.body["system"] == "be brief"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["anthropic-version"]


def test_clients_side_by_side_get_each_reply_once():
    count = 12
    texts_got = []
    with playing([say(str(at)) for at in range(count)]) as (server, client):
        threads = [threading.Thread(target=lambda: texts_got.append(ask(client).content[0].text)) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(FAR_S)
        server.check()
        assert [request.number for request in server.requests] == [*range(1, count + 1)]
    assert sorted(texts_got, key=int) == [str(at) for at in range(count)]


def test_one_connection_too_many_is_closed():
    with playing([]) as (server, _), contextlib.ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection(address_of(server), timeout=FAR_S))
            for _ in range(MOST_CONNECTIONS + 1)
        ]
        assert ends(lines[-1])


def test_an_agent_that_goes_round_in_circles_is_stopped():
    ledger = Script(lambda _: say("again"))
    headers, raw = {"x-api-key": "x", "anthropic-version": "1"}, json.dumps(asking(HELLO)).encode()
    got = [ledger.answer("/v1/messages", headers, raw).reply.status for _ in range(MOST_REQUESTS + 2)]
    assert got == [*[200] * MOST_REQUESTS, 500, 500]
    assert ledger.findings([], KEY, []) == [ledger.troubles[0]]
    assert "round in circles" in ledger.troubles[0]


# The page


def test_the_examples_of_the_page_do_what_they_say(tmp_path):
    examples = re.findall(r"^```python\n(.*?)^```$", HOWTO.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert examples
    for example in examples:
        names = {"__name__": "example"}
        exec(compile(ast.parse(example), str(HOWTO), "exec"), names)
        for name, claim in [*names.items()]:
            if name.startswith("test_"):
                claim(*[tmp_path] * claim.__code__.co_argcount)


def test_the_environment_of_the_tests_stays_as_it_was():
    before = dict(os.environ)
    with ScriptedServer([]) as server:
        assert server.environ["ANTHROPIC_BASE_URL"] == server.url
    assert dict(os.environ) == before
