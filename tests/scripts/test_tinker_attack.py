"""What no SDK would send is answered with 4xx within bounds, and harms nobody."""

from __future__ import annotations

import json
import random

import pytest

fake = pytest.importorskip("tests.scripts.tinker_engine_fake", exc_type=ImportError)
zstandard = pytest.importorskip("zstandard")
MODEL, Hosted, draw, loss_body, step = fake.MODEL, fake.Hosted, fake.draw, fake.loss_body, fake.step


PROTOBUF = {"Content-Type": "application/x-protobuf"}
ODD = (
    None, "", "x", "\ud800", "\x00", "../..", "tinker://a/weights/b", "x" * 5000, [], {}, [[]], True, -1, 0, 1.5,
    1 << 31, 1 << 63, 1 << 64, 10**60, 10**300, -(10**300), float("nan"), float("inf"), -float("inf"), 1e308,
)  # fmt: skip
METHODS = ("GET", "PUT", "DELETE", "PATCH", "HEAD")


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    with Hosted(tmp_path_factory.mktemp("state"), body_bytes=1_000_000, poll_s=0.2, order_s=0.2, sweep_s=0.1) as hosted:
        yield hosted


@pytest.fixture(scope="module")
def bodies(hosted):
    """A right body for each route; a mutation of it is sent."""
    session = hosted.session()
    model, sampler = hosted.model(session), hosted.sampler(session)
    lora = {"rank": 8, "seed": 1, "train_mlp": True, "train_attn": True, "train_unembed": True}
    save = {"model_id": model, "path": "name", "seq_id": 900, "ttl_seconds": 3600}
    return {
        "client/config": {"sdk_version": "0.38.0"},
        "create_session": {"tags": ["a"], "user_metadata": {"a": "b"}, "sdk_version": "0", "display_name": "n"},
        "session_heartbeat": {"session_id": session},
        "create_model": {"session_id": session, "model_seq_id": 1, "base_model": MODEL, "lora_config": lora},
        "get_info": {"model_id": model},
        "optim_step": step(model, 900),
        "save_weights": {**save, "overwrite": True, "user_metadata": {"a": "b"}},
        "save_weights_for_sampler": save,
        "load_weights": {
            "session_id": session, "model_seq_id": 2, "path": f"tinker://{model}/weights/name", "optimizer": True,
        },
        "create_sampling_session": {"session_id": session, "sampling_session_seq_id": 3, "base_model": MODEL},
        "asample": draw(sampler, 900, prompt_logprobs=True, topk_prompt_logprobs=2),
        "retrieve_future": {"request_id": "x", "allow_metadata_only": True},
        "weights_info": {"tinker_path": f"tinker://{model}/weights/name"},
        f"sessions/{hosted.session()}/finish": {"reason": {"type": "success"}, "detail": "x"},
    }  # fmt: skip


def places(value, path=()):
    """Yield the path of every part of a document."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*path, key)
        yield from places(part, (*path, key))


def changed(dice, body):
    """Return a body with one part replaced, removed, or one too many."""
    body = json.loads(json.dumps(body))
    *path, last = dice.choice(list(places(body)))
    inner = body
    for key in path:
        inner = inner[key]
    how = dice.randrange(4)
    if how == 0:
        del inner[last]
    elif how == 1 and isinstance(inner, dict):
        inner[f"{last}_more"] = dice.choice(ODD)
    else:
        inner[last] = dice.choice(ODD)
    return body


def torn(dice, data):
    """Return bytes that are cut, turned or mixed."""
    data = bytearray(data)
    how = dice.randrange(3)
    if how == 0:
        return bytes(data[: dice.randrange(len(data))])
    for _ in range(dice.randint(1, 12)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data) if how == 1 else bytes(data) + dice.randbytes(40)


def as_json(dice, route, body):
    return "POST", route, json.dumps(changed(dice, body)).encode(), {}


def as_torn_json(dice, route, body):
    return "POST", route, torn(dice, json.dumps(body).encode()), {}


def as_deep_json(dice, route, body):
    deep = dice.choice((300, 900, 990, 100_000))
    bodies = (b"[" * deep + b"]" * deep, b'{"a":' * deep + b"1" + b"}" * deep)
    held = b'{"tags":[],"sdk_version":"0","user_metadata":{"a":' + dice.choice(bodies) + b"}}"
    return "POST", dice.choice((route, "create_session")), dice.choice((*bodies, held)), {}


def as_odd_json(dice, route, body):
    odd = (b"", b"null", b"[]", b"7", b'"x"', b"\xff\xfe", b"NaN", b"9" * 6000, b"{}", b'{"a":1,"a":2}')
    return "POST", route, dice.choice(odd), {}


def as_protobuf(dice, route, body):
    whole = loss_body(dice.choice(("x", body.get("model_id") or "y")), 900)
    return "POST", "forward_backward", torn(dice, whole), PROTOBUF


def as_zstd(dice, route, body):
    packed = zstandard.compress(dice.choice((json.dumps(body).encode(), b"\0" * 3_000_000, loss_body("x", 1))))
    route = dice.choice((route, "forward_backward"))
    return "POST", route, dice.choice((packed, torn(dice, packed))), {"Content-Encoding": "zstd"}


def as_too_large(dice, route, body):
    return "POST", route, b'{"a":"' + b"x" * 1_000_001 + b'"}', {}


def as_wrong_method(dice, route, body):
    return dice.choice(METHODS), route, b"", {}


def as_wrong_path(dice, route, body):
    ends = ("training_runs/{}", "training_runs/{}/checkpoints", "sessions/{}", "samplers/{}", "{}")
    name = dice.choice(("..%2f..", "%00", "x" * 3000, "%ff", "a%0ab", "tinker:", "-1"))
    return "GET", dice.choice(ends).format(name), b"", {}


def as_wrong_page(dice, route, body):
    numbers = ("-1", "x", "1e9", "9" * 5000, "%00", "")
    return "GET", f"training_runs?offset={dice.choice(numbers)}&limit=5", b"", {}


KINDS = (
    as_json, as_json, as_json, as_json, as_torn_json, as_deep_json, as_odd_json, as_protobuf, as_protobuf, as_zstd,
    as_too_large, as_wrong_method, as_wrong_path, as_wrong_page,
)  # fmt: skip


def attack(hosted, bodies, seed):
    """Send one malformed request; return what was sent and the status that came back."""
    dice = random.Random(seed)
    route = dice.choice(list(bodies))
    kind = dice.choice(KINDS)
    method, path, content, headers = kind(dice, route, bodies[route])
    answer = hosted.http.request(method, path, content=content, headers=headers)
    if answer.status_code == 200 and "request_id" in answer.json():
        answer = hosted.wait(answer.json()["request_id"])
    return (seed, kind.__name__, method, path[:80], content[:300], answer.status_code, answer.text[:300]), answer


def usable(hosted):
    """Train, save and sample as a client that did nothing wrong."""
    model = hosted.model()
    sent = hosted.http.post("forward_backward", content=loss_body(model, 1), headers=PROTOBUF)
    assert hosted.wait(sent.json()["request_id"]).headers["content-type"] == "application/x-protobuf"
    assert hosted.result(hosted.post("optim_step", step(model, 2)))["metrics"] == {"norm:mean": 1.0}
    saved = {"model_id": model, "path": "end", "seq_id": 3, "overwrite": False}
    assert hosted.result(hosted.post("save_weights", saved))["path"].endswith("/weights/end")
    drawn = hosted.wait(hosted.post("asample", draw(hosted.sampler(), 0)).json()["request_id"])
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "application/x-protobuf")


def blamed(answer):
    """Tell whether a fault of ours shows: a status of 5xx, or words of category `server`."""
    return answer.status_code >= 500 or (b'"category": "server"' in answer.content)


def survived(hosted, bodies, seeds):
    wrong = []
    for seed in seeds:
        sent, answer = attack(hosted, bodies, seed)
        if blamed(answer):
            wrong.append(sent)
    usable(hosted)
    return wrong


def test_malformed_requests_are_never_our_fault_and_harm_nobody(hosted, bodies):
    assert survived(hosted, bodies, range(150)) == []


@pytest.mark.deep
@pytest.mark.timeout(400)
def test_a_thousand_malformed_requests_are_never_our_fault_and_harm_nobody(hosted, bodies):
    assert survived(hosted, bodies, range(1000, 2000)) == []


def refused(hosted, path, **how):
    return hosted.http.request(how.pop("method", "POST"), path, **how).status_code


@pytest.mark.parametrize(
    ("status", "path", "how"),
    [
        (400, "optim_step", {"content": b"{"}),
        (422, "optim_step", {"content": b"[]"}),
        (422, "optim_step", {"json": {}}),
        (400, "forward_backward", {"content": b"\xff\xff\xff"}),
        (400, "forward_backward", {"content": b"no zstd", "headers": {"Content-Encoding": "zstd"}}),
        (413, "optim_step", {"content": b"x" * 1_000_001}),
        (404, "optim_step", {"json": step("none:train:0", 1)}),
        (404, "nowhere", {"json": {}}),
        (404, "optim_step", {"method": "GET"}),
        (410, "retrieve_future", {"json": {"request_id": "none"}}),
        (404, "session_heartbeat", {"json": {"session_id": "none"}}),
    ],
    ids=lambda value: value if isinstance(value, (int, str)) else "",
)
def test_each_fault_has_its_status(hosted, status, path, how):
    assert refused(hosted, path, **dict(how)) == status


def test_a_body_that_unpacks_too_large_is_refused(hosted):
    packed = zstandard.compress(b"\0" * 50_000_000)
    headers = {"Content-Encoding": "zstd"}
    assert refused(hosted, "forward_backward", content=packed, headers=headers) == 413


def test_a_packed_body_that_is_cut_off_trains_nothing(hosted):
    model = hosted.model()
    tokens = random.Random(1).choices(range(50), k=400)
    packed = zstandard.compress(loss_body(model, 1, tokens=tokens))
    headers = {"Content-Encoding": "zstd"}
    before = hosted.engine.calls["forward_backward"]
    assert refused(hosted, "forward_backward", content=packed[:-4], headers=headers) == 400
    assert hosted.engine.calls["forward_backward"] == before


def nested(depth):
    return b'{"tags":[],"sdk_version":"0","user_metadata":{"a":' + b"[" * depth + b"]" * depth + b"}}"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        *(("create_session", nested(depth)) for depth in (100, 900, 955, 960, 965, 100_000)),
        ("create_session", b'{"tags":[],"sdk_version":"0","user_metadata":{"a":"\\ud800"}}'),
        ("create_session", b'{"tags":[],"sdk_version":"0","user_metadata":{},"display_name":"\\udfff"}'),
        ("weights_info", b'{"tinker_path":"tinker://a/weights/\\ud800"}'),
        ("optim_step", b'{"model_id":"m","seq_id":1,"adam_params":{"learning_rate":NaN}}'),
        ("optim_step", b'{"model_id":"m","seq_id":1,"adam_params":{"learning_rate":1e999}}'),
        ("optim_step", b'{"model_id":"m","seq_id":' + b"9" * 300 + b',"adam_params":{}}'),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value[:12]!r}{len(value)}",
)
def test_what_no_file_or_sum_could_hold_is_refused(hosted, path, content):
    assert refused(hosted, path, content=content) == 400


@pytest.mark.parametrize(
    ("path", "number"), [("create_model", "model_seq_id"), ("create_sampling_session", "sampling_session_seq_id")]
)
def test_a_number_that_no_name_could_hold_is_refused(hosted, path, number):
    body = {"session_id": hosted.session(), number: 10**250, "base_model": MODEL}
    assert hosted.post(path, body).status_code == 400
