"""An engine that answers by simple sums, with a service over it on the loopback."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections import Counter

import httpx
import numpy as np
import uvicorn

from tinker_local import routes
from tinker_local.api_types import Answer, LossOutput, ModelInfo, RefusedError, SamplingResult, TopTokens
from tinker_local.limits import Bounds
from tinker_local.storage import Store

MODEL = "local/sums"
TOKEN = "tml-" + "7" * 20
VOCABULARY = 50
LIMIT_S = 300


class SumsEngine:
    """One number for each adapter; a step moves it, a sample counts up from the prompt's last token and adds it."""

    def __init__(self):
        self.adapters, self.waiting, self.calls = {}, {}, Counter()
        self.batches, self.order = [], []
        self.open = threading.Event()  # cleared, it holds the worker in `forward_backward`
        self.open.set()

    def models(self):
        return [self.about(MODEL)]

    def about(self, base_model):
        if base_model != MODEL:
            raise RefusedError(f"no model {base_model!r}: there is {MODEL}")
        return ModelInfo(MODEL, 64, "tokenizer", "Sums")

    def unchanged(self, base_model):
        return self.about(base_model)

    def create(self, adapter, base_model, lora):  # noqa: ARG002 - the contract's names
        self.calls["create"] += 1
        self.about(base_model)
        self.adapters[adapter], self.waiting[adapter] = 0.0, 0.0

    def forward_backward(self, adapter, data, loss, config, *, forward_only):  # noqa: ARG002 - the contract's names
        self.calls["forward" if forward_only else "forward_backward"] += 1
        assert self.open.wait(LIMIT_S)
        if loss != "cross_entropy":
            raise RefusedError(f"no loss {loss!r}: there is cross_entropy")
        total = float(sum(sum(one.tokens) for one in data))
        self.order.append(total)
        if not forward_only:
            self.waiting[adapter] += total
        outputs = [{"logprobs": np.full(len(one.tokens), -1.0, np.float32)} for one in data]
        return LossOutput(outputs, {"loss:sum": total + self.adapters[adapter]})

    def optim_step(self, adapter, adam):
        self.calls["optim_step"] += 1
        self.adapters[adapter] += adam.learning_rate * self.waiting[adapter]
        self.waiting[adapter] = 0.0
        return {"norm:mean": 1.0}

    def save(self, adapter, folder, *, optimizer):
        self.calls["save"] += 1
        kept = {"at": self.adapters[adapter]} | ({"waiting": self.waiting[adapter]} if optimizer else {})
        (folder / "adapter.json").write_text(json.dumps(kept))

    def load(self, adapter, folder, *, optimizer):
        self.calls["load"] += 1
        kept = json.loads((folder / "adapter.json").read_text())
        self.adapters[adapter], self.waiting[adapter] = kept["at"], kept["waiting"] if optimizer else 0.0

    def drop(self, adapter):
        self.calls["drop"] += 1
        self.adapters.pop(adapter, None)
        self.waiting.pop(adapter, None)

    def sample(self, base_model, adapter, asked):  # noqa: ARG002 - the contract's names
        self.calls["sample"] += 1
        self.batches.append(len(asked))
        assert self.open.wait(LIMIT_S)
        return [self.answered(one, int(self.adapters.get(adapter, 0.0))) for one in asked]

    def answered(self, one, shift):
        if max(one.prompt, default=0) >= VOCABULARY or not one.prompt:
            raise RefusedError(f"tokens must be 0 to {VOCABULARY - 1}, at least one")
        count = min(one.params.max_tokens or 4, 32)
        drawn = [(one.prompt[-1] + shift + place) % VOCABULARY for place in range(1, count + 1)]
        stops = set(one.params.stop or ())
        end = next((place + 1 for place, token in enumerate(drawn) if token in stops), None)
        drawn = tuple(drawn[:end])
        answer = Answer(drawn, (-0.5,) * len(drawn), "stop" if end else "length")
        rest, k = len(one.prompt) - 1, one.topk_prompt_logprobs
        first = 1 if one.last is None else max(1, len(one.prompt) - one.last)
        ids = np.tile(np.arange(k, dtype=np.int32), (rest + 1 - first, 1))
        top = TopTokens(first, ids, -1.0 - ids.astype(np.float32)) if k else None
        scores = (*[None] * first, *(-0.25 for _ in range(rest + 1 - first))) if one.prompt_logprobs else None
        return SamplingResult((answer,) * one.num_samples, scores, top)

    def described(self, adapter):  # noqa: ARG002 - the contract's names
        return {"base_model": MODEL, "rank": 1}


class Hosted:
    """A service in a thread; `bounds` as wanted, `state` its folder, `engine` a counting one unless given."""

    def __init__(self, state, engine=None, **bounds):
        self.engine = engine or SumsEngine()
        self.app = routes.create(self.engine, store=Store(state), token=TOKEN, bounds=Bounds(**bounds))
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=0, log_level="critical", timeout_graceful_shutdown=2, ws="none"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.url = ""

    def __enter__(self):
        self.thread.start()
        until(lambda: self.server.started, "the service did not start")
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=f"{self.url}/api/v1/", headers={"X-API-Key": TOKEN}, timeout=LIMIT_S)
        return self

    def __exit__(self, *_):
        self.engine.open.set()
        self.http.close()
        self.server.should_exit = True
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive()

    def client(self, **more):
        import tinker

        return tinker.ServiceClient(base_url=self.url, api_key=TOKEN, **more)

    def post(self, path, body):
        return self.http.post(path, json=body)

    def session(self):
        body = {"tags": [], "user_metadata": {}, "sdk_version": "0.38.0"}
        return self.post("create_session", body).json()["session_id"]

    def model(self, session=None, number=0):
        """Return a new model's id, made."""
        body = {"session_id": session or self.session(), "model_seq_id": number, "base_model": MODEL}
        return self.result(self.post("create_model", body))["model_id"]

    def sampler(self, session=None):
        body = {"session_id": session or self.session(), "sampling_session_seq_id": 0, "base_model": MODEL}
        return self.post("create_sampling_session", body).json()["sampling_session_id"]

    def result(self, promised):
        """Return what was promised, JSON; bounded."""
        assert promised.status_code == 200, promised.text
        return self.wait(promised.json()["request_id"]).json()

    def wait(self, name):
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            found = self.post("retrieve_future", {"request_id": name})
            if found.status_code != 408:
                return found
        raise AssertionError(f"{name} never came")


def until(true, otherwise, limit_s=LIMIT_S):
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


def collect():
    """Let the SDK's own thread end what was closed, then collect what it left."""
    from tinker.lib import internal_client_holder

    gc.collect()  # what was not closed closes now, in that thread
    loop = internal_client_holder._internal_client_holder_thread_singleton.get_loop()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), loop).result(LIMIT_S)
    gc.collect()


def step(model, number, rate=1.0):
    """Return the body of an optim_step."""
    return {"model_id": model, "seq_id": number, "adam_params": {"learning_rate": rate}}


def draw(sampler, number, tokens=(1, 2, 3), **more):
    """Return the body of an asample."""
    prompt = {"chunks": [{"type": "encoded_text", "tokens": list(tokens)}]}
    params = {"max_tokens": 4, "temperature": 1.0}
    body = {"sampling_session_id": sampler, "seq_id": number, "num_samples": 1, "prompt": prompt}
    return {**body, "sampling_params": params, **more}


def loss_body(model, number, tokens=(1, 2, 3), loss="cross_entropy", *, forward_only=False):
    """Return the bytes of a forward_backward."""
    from tinker.proto import tinker_public_pb2 as pb

    request = pb.ForwardBackwardRequest(model_id=model, seq_id=number, loss_fn=loss, forward_only=forward_only)
    one = request.data.add()
    one.model_input.add().encoded_text.tokens = np.array(tokens, np.int32).tobytes()
    one.loss_fn_inputs["target_tokens"].CopyFrom(
        pb.Tensor(dtype=pb.DTYPE_INT64, shape=[len(tokens)], dense=np.array(tokens, np.int64).tobytes())
    )
    return request.SerializeToString()
