"""What is malformed gets a 4xx with words, within bounds, and harms nobody."""

from __future__ import annotations

import json
import random

import httpx
import pytest

from tests.scripts.tinker_scene import MODEL, SDK, TOKEN, Service

pytest.importorskip("torch")
tinker = pytest.importorskip("tinker")
pytest.importorskip("fastapi")
small_llama = pytest.importorskip("tests.scripts.small_llama")
pb = pytest.importorskip("tinker.proto.tinker_public_pb2")
LIMIT_S = 300
pytestmark = [pytest.mark.timeout(300), *SDK]
POSTS = {
    "create_session": {"tags": [], "user_metadata": None, "sdk_version": "0.38.0"},
    "session_heartbeat": {"session_id": "x"},
    "create_model": {"session_id": "x", "model_seq_id": 1, "base_model": MODEL, "lora_config": {"rank": 4}},
    "get_info": {"model_id": "x"},
    "optim_step": {"model_id": "x", "seq_id": 1, "adam_params": {"learning_rate": 0.1}},
    "save_weights": {"model_id": "x", "path": "a", "seq_id": 1},
    "save_weights_for_sampler": {"model_id": "x", "path": "a", "seq_id": 1},
    "load_weights": {"session_id": "x", "model_seq_id": 1, "path": "tinker://a/weights/b", "optimizer": True},
    "create_sampling_session": {"session_id": "x", "sampling_session_seq_id": 1, "base_model": MODEL},
    "asample": {
        "sampling_session_id": "x",
        "seq_id": 1,
        "num_samples": 1,
        "prompt": {"chunks": [{"type": "encoded_text", "tokens": [1]}]},
        "sampling_params": {"max_tokens": 1},
    },
    "retrieve_future": {"request_id": "x"},
    "weights_info": {"tinker_path": "tinker://a/weights/b"},
}
ODD = [None, True, -1, 10**30, 1e308, float("nan"), "", "\0", "../..", "x" * 5000, [], [[]], {}, {"a": {}}, "ü"]
HEADERS = {"X-API-Key": TOKEN}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    home = tmp_path_factory.mktemp("models")
    small_llama.make(home / "small")
    with Service(tmp_path_factory.mktemp("service"), home) as service:
        yield service


def message(chance):
    """A message of forward_backward with something wrong in it."""
    found = pb.ForwardBackwardRequest(model_id=chance.choice(["x", "", "a:train:0"]), seq_id=chance.choice([0, -1, 1]))
    datum = found.data.add()
    datum.model_input.add().encoded_text.tokens = chance.randbytes(chance.randrange(9))
    datum.loss_fn_inputs["weights"].dense = chance.randbytes(chance.randrange(9))
    body = bytearray(found.SerializeToString())
    for _ in range(chance.randrange(4)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    return bytes(body[: chance.randrange(len(body) + 1)])


def mutated(chance, body):
    """A body with one thing gone, changed or added."""
    body = json.loads(json.dumps(body))
    key = chance.choice(list(body))
    if chance.random() < 0.2:
        del body[key]
    elif chance.random() < 0.15:
        body[chance.choice(["zzz", "type"])] = chance.choice(ODD)
    else:
        body[key] = chance.choice(ODD)
    return json.dumps(body).encode()


def request(chance):
    """Method, path, body, headers of something malformed."""
    kind = chance.random()
    path = chance.choice(list(POSTS))
    if kind < 0.6:
        return "POST", path, mutated(chance, POSTS[path]), {}
    if kind < 0.7:
        whole = json.dumps(POSTS[path]).encode()
        return "POST", path, whole[: chance.randrange(1, len(whole))], {}
    if kind < 0.85:
        packed = {"Content-Encoding": "zstd"} if chance.random() < 0.3 else {}
        return "POST", "forward_backward", message(chance), {"Content-Type": "application/x-protobuf", **packed}
    if kind < 0.9:
        return "POST", path, b"[" * chance.choice([10, 100_000]), {}
    if kind < 0.95:
        return chance.choice(["GET", "PUT", "DELETE"]), path, b"", {}
    odd = chance.choice(["training_runs/..%2f..", "training_runs/x/checkpoints/weights/%00", "samplers/..", "nothing"])
    return chance.choice(["GET", "DELETE"]), odd, b"", {}


def bombard(service, count, seed):
    """Send so many; return what was not answered by a 4xx, or by a 200 for what was harmless after all."""
    chance, wrong = random.Random(seed), []
    with httpx.Client(base_url=f"{service.url}/api/v1/", headers=HEADERS, timeout=LIMIT_S) as client:
        for _ in range(count):
            method, path, body, headers = request(chance)
            answer = client.request(method, path, content=body, headers=headers)
            if not (400 <= answer.status_code < 500 or answer.status_code == 200) or len(answer.content) > 100_000:
                wrong.append((method, path, body[:200], answer.status_code))
    return wrong


def is_usable(service):
    with service.client() as client:
        training = client.create_lora_training_client(MODEL, rank=4).result(LIMIT_S)
        inputs = {"target_tokens": [6, 7], "weights": [1.0, 1.0]}
        datum = tinker.types.Datum(model_input=tinker.types.ModelInput.from_ints([5, 6]), loss_fn_inputs=inputs)
        return training.forward([datum], "cross_entropy").result(LIMIT_S).metrics["loss:sum"] > 0


def test_malformed_requests_get_an_answer_and_the_service_stays_usable(service):
    assert bombard(service, 150, 1) == []
    assert is_usable(service)


@pytest.mark.deep
def test_a_thousand_malformed_requests_get_an_answer(service):
    assert bombard(service, 1000, 2) == []
    assert is_usable(service)


def test_a_body_above_the_bound_is_refused(service):
    answer = httpx.post(f"{service.url}/api/v1/telemetry", content=b" " * 33_000_000, headers=HEADERS, timeout=LIMIT_S)
    assert answer.status_code == 413


def test_a_bomb_of_zstd_is_refused(service):
    import zstandard

    bomb = zstandard.ZstdCompressor().compress(b"\0" * 40_000_000)
    headers = {**HEADERS, "Content-Encoding": "zstd"}
    answer = httpx.post(f"{service.url}/api/v1/forward_backward", content=bomb, headers=headers, timeout=LIMIT_S)
    assert answer.status_code == 413


def test_without_a_key_nothing_but_health_is_told(service):
    assert httpx.get(f"{service.url}/api/v1/healthz", timeout=LIMIT_S).status_code == 200
    assert httpx.get(f"{service.url}/api/v1/training_runs", timeout=LIMIT_S).status_code == 401


def test_it_listens_on_the_loopback_alone(service):
    import psutil

    listening = [
        one.laddr.ip for one in psutil.Process(service.process.pid).net_connections() if one.status == "LISTEN"
    ]
    assert listening == ["127.0.0.1"]


def test_a_folder_is_for_one_service(service):
    with pytest.raises(AssertionError, match="another service has"), Service(service.folder, service.folder):
        pass
