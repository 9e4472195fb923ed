"""The unmodified SDK trains, saves, resumes and samples against the local service."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from tests.scripts.tinker_scene import MODEL, SDK, TOKEN, Service, until

pytest.importorskip("torch")
tinker = pytest.importorskip("tinker")
pytest.importorskip("fastapi")
fake = pytest.importorskip("tests.scripts.tinker_engine_fake", exc_type=ImportError)
small_llama = pytest.importorskip("tests.scripts.small_llama")
types = tinker.types

LIMIT_S = 300
ADAM = types.AdamParams(learning_rate=1e-2)
pytestmark = [pytest.mark.timeout(300), *SDK]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    small_llama.make(folder / "small")
    return folder


@pytest.fixture(scope="module")
def service(home, tmp_path_factory):
    with Service(tmp_path_factory.mktemp("service"), home) as service:
        yield service


@pytest.fixture
def client(service):
    with service.client() as client:
        yield client


def datum(seed=0, length=12):
    tokens = np.random.default_rng(seed).integers(3, small_llama.VOCABULARY, length + 1).tolist()
    inputs = {"target_tokens": tokens[1:], "weights": [1.0] * length}
    return types.Datum(model_input=types.ModelInput.from_ints(tokens[:-1]), loss_fn_inputs=inputs)


DATA = [datum(0), datum(1, 9), datum(2, 16)]


def loss(training, forward=False):
    act = training.forward if forward else training.forward_backward
    return act(DATA, "cross_entropy").result(LIMIT_S).metrics["loss:sum"]


def steps(training, count):
    found = []
    for _ in range(count):
        computed, stepped = training.forward_backward(DATA, "cross_entropy"), training.optim_step(ADAM)
        found.append(computed.result(LIMIT_S).metrics["loss:sum"])
        stepped.result(LIMIT_S)
    return found


def trained(client, count=3, seed=5):
    training = client.create_lora_training_client(MODEL, rank=4, seed=seed).result(LIMIT_S)
    steps(training, count)
    return training


PROMPT = types.ModelInput.from_ints([5, 9, 20, 7])


def sampled(sampler, prompt=PROMPT, number=1, **params):
    wanted = types.SamplingParams(**({"max_tokens": 8, "temperature": 0.0, "stop": []} | params))
    return sampler.sample(prompt, number, wanted).result(LIMIT_S)


# Training


def test_training_lowers_the_loss(client):
    found = steps(client.create_lora_training_client(MODEL, rank=4, seed=1).result(LIMIT_S), 8)
    assert found[-1] < 0.8 * found[0]


def test_forward_does_not_train(client):
    training = client.create_lora_training_client(MODEL, rank=4, seed=1).result(LIMIT_S)
    before = loss(training, forward=True)
    training.optim_step(ADAM).result(LIMIT_S)
    assert loss(training, forward=True) == before


def test_logprobs_come_back_for_every_target(client):
    training = client.create_lora_training_client(MODEL, rank=4, seed=1).result(LIMIT_S)
    found = training.forward(DATA, "cross_entropy").result(LIMIT_S)
    scores = [one["logprobs"].to_numpy() for one in found.loss_fn_outputs]
    assert [one.shape for one in scores] == [(12,), (9,), (16,)]
    assert -sum(one.sum() for one in scores) == pytest.approx(found.metrics["loss:sum"], rel=1e-5)


def test_a_resumed_training_is_equal_to_the_last_bit(client):
    training = trained(client)
    path = training.save_state("here").result(LIMIT_S).path
    expected = steps(training, 3)
    again = client.create_training_client_from_state_with_optimizer(path).result(LIMIT_S)
    assert steps(again, 3) == expected


def test_weights_alone_begin_with_a_fresh_optimizer(client):
    training = trained(client)
    path = training.save_state("weights").result(LIMIT_S).path
    expected = steps(training, 3)
    found = steps(client.create_training_client_from_state(path).result(LIMIT_S), 3)
    assert found[0] == expected[0]
    assert found[1:] != expected[1:]


def test_a_late_load_is_refused_and_the_client_stays_usable(client):
    training = trained(client, 1)
    path = training.save_state("late").result(LIMIT_S).path
    with pytest.warns(FutureWarning), pytest.raises(tinker.RequestFailedError, match="not permitted with seq_id"):
        training.load_state(path).result(LIMIT_S)
    assert loss(training) > 0


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda client: client.create_lora_training_client("local/none").result(LIMIT_S), "local/small"),
        (lambda client: client.create_lora_training_client(MODEL, rank=0).result(LIMIT_S), "rank"),
        (
            lambda client: client.create_training_client_from_state("tinker://run/weights/none").result(LIMIT_S),
            "no checkpoint",
        ),
    ],
    ids=["model", "rank", "path"],
)
def test_what_cannot_be_made_is_refused_in_words(client, act, words):
    with pytest.raises((tinker.RequestFailedError, tinker.APIStatusError), match=words):
        act(client)


def test_a_wrong_loss_is_refused_and_the_client_stays_usable(client):
    training = client.create_lora_training_client(MODEL, rank=4, seed=1).result(LIMIT_S)
    with pytest.raises(tinker.RequestFailedError, match="cross_entropy"):
        training.forward_backward(DATA, "no_such_loss").result(LIMIT_S)
    assert loss(training) > 0


def test_a_token_outside_the_vocabulary_is_refused(client):
    training = client.create_lora_training_client(MODEL, rank=4, seed=1).result(LIMIT_S)
    odd = types.Datum(
        model_input=types.ModelInput.from_ints([5000]), loss_fn_inputs={"target_tokens": [1], "weights": [1.0]}
    )
    with pytest.raises(tinker.RequestFailedError, match="5000"):
        training.forward_backward([odd], "cross_entropy").result(LIMIT_S)


# Sampling


def test_the_adapter_changes_what_is_sampled(client):
    base = sampled(client.create_sampling_client(base_model=MODEL).result(LIMIT_S))
    tuned = sampled(trained(client, 12).save_weights_and_get_sampling_client().result(LIMIT_S))
    assert base.sequences[0].tokens != tuned.sequences[0].tokens


def test_a_named_sampler_gives_what_the_training_gave(client):
    training = trained(client, 6)
    path = training.save_weights_for_sampler("named").result(LIMIT_S).path
    here, there = (
        training.save_weights_and_get_sampling_client().result(LIMIT_S),
        client.create_sampling_client(model_path=path).result(LIMIT_S),
    )
    assert sampled(here).sequences[0].tokens == sampled(there).sequences[0].tokens


def test_many_samples_have_a_seed(client):
    sampler = client.create_sampling_client(base_model=MODEL).result(LIMIT_S)
    first, second = (sampled(sampler, number=6, temperature=1.0, seed=3) for _ in range(2))
    assert [one.tokens for one in first.sequences] == [one.tokens for one in second.sequences]
    assert len({tuple(one.tokens) for one in first.sequences}) > 1
    assert len({one.sequence_id for one in first.sequences}) == 6


def test_logprobs_of_a_prompt_agree_with_those_of_training(client):
    training = client.create_lora_training_client(MODEL, rank=4, seed=1).result(LIMIT_S)
    scores = training.forward([DATA[0]], "cross_entropy").result(LIMIT_S).loss_fn_outputs[0]["logprobs"].to_numpy()
    whole = [*DATA[0].model_input.to_ints(), DATA[0].loss_fn_inputs["target_tokens"].tolist()[-1]]
    found = (
        client.create_sampling_client(base_model=MODEL)
        .result(LIMIT_S)
        .compute_logprobs(types.ModelInput.from_ints(whole))
    )
    first, *rest = found.result(LIMIT_S)
    assert first is None
    assert rest == pytest.approx(scores.tolist(), abs=1e-4)


def test_the_likeliest_tokens_of_a_prompt_are_told(client):
    sampler = client.create_sampling_client(base_model=MODEL).result(LIMIT_S)
    wanted = types.SamplingParams(max_tokens=1, temperature=0.0)
    found = sampler.sample(PROMPT, 1, wanted, include_prompt_logprobs=True, topk_prompt_logprobs=3).result(LIMIT_S)
    assert found.topk_prompt_logprobs[0] is None or np.isnan(found.topk_prompt_logprobs[0][0][1])
    assert len(found.topk_prompt_logprobs[1]) == 3


def test_a_stop_text_ends_an_answer(client):
    sampler = client.create_sampling_client(base_model=MODEL).result(LIMIT_S)
    whole = sampled(sampler, temperature=1.0, seed=1).sequences[0]
    assert whole.tokens[2] not in whole.tokens[:2]
    cut = sampled(sampler, temperature=1.0, seed=1, stop=[whole.tokens[2]]).sequences[0]
    assert cut.tokens == whole.tokens[:3]
    assert (whole.stop_reason, cut.stop_reason) == ("length", "stop")


def test_a_prompt_that_is_too_long_is_refused_and_harms_no_other(client):
    sampler = client.create_sampling_client(base_model=MODEL).result(LIMIT_S)
    wanted = types.SamplingParams(max_tokens=4)
    long = sampler.sample(types.ModelInput.from_ints([5] * 300), 1, wanted)
    short = sampler.sample(PROMPT, 1, wanted)
    with pytest.raises(tinker.RequestFailedError, match="256"):
        long.result(LIMIT_S)
    assert short.result(LIMIT_S).sequences


# Checkpoints


def test_checkpoints_are_listed_deleted_and_described(client):
    training = trained(client, 1)
    path = training.save_state("one", ttl_seconds=3600, user_metadata={"k": "v"}).result(LIMIT_S).path
    sampler = training.save_weights_for_sampler("one").result(LIMIT_S).path
    rest = client.create_rest_client()
    listed = rest.list_checkpoints(training.model_id).result(LIMIT_S).checkpoints
    assert {one.tinker_path for one in listed} == {path, sampler}
    about = next(one for one in listed if one.tinker_path == path)
    assert about.expires_at is not None
    assert about.user_metadata == {"k": "v"}
    rest.delete_checkpoint_from_tinker_path(sampler).result(LIMIT_S)
    assert [one.tinker_path for one in rest.list_checkpoints(training.model_id).result(LIMIT_S).checkpoints] == [path]
    assert rest.get_training_run_by_tinker_path(path).result(LIMIT_S).base_model == MODEL
    assert rest.get_weights_info_by_tinker_path(path).result(LIMIT_S).lora_rank == 4
    assert training.model_id in [one.training_run_id for one in rest.list_training_runs().result(LIMIT_S).training_runs]


def test_a_name_is_taken_once_unless_it_is_to_be_overwritten(client):
    training = trained(client, 1)
    training.save_state("same").result(LIMIT_S)
    with pytest.raises(tinker.RequestFailedError, match="overwrite"):
        training.save_state("same").result(LIMIT_S)
    assert training.save_state("same", overwrite=True).result(LIMIT_S).path.endswith("/same")


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".hidden", "x" * 200])
def test_a_name_is_no_way_out_of_the_folder(client, name):
    training = trained(client, 1)
    with pytest.raises(tinker.RequestFailedError, match="cannot name"):
        training.save_state(name).result(LIMIT_S)


# Clients


def test_models_are_described(client):
    training = client.create_lora_training_client(MODEL, rank=4).result(LIMIT_S)
    about = training.get_info()
    assert (about.model_data.model_name, about.lora_rank) == (MODEL, 4)
    assert training.get_tokenizer().decode([5]) == small_llama.word(5)
    assert MODEL in [
        one.model_name for one in client.create_rest_client().get_server_capabilities().result(LIMIT_S).supported_models
    ]


def test_eight_clients_train_at_once_and_do_not_touch_each_other(service):
    clients = [service.client() for _ in range(8)]
    trainings = [
        one.create_lora_training_client(MODEL, rank=4, seed=seed).result(LIMIT_S) for seed, one in enumerate(clients)
    ]
    waiting = []
    for _ in range(3):
        for training in trainings:
            waiting.append(training.forward_backward(DATA, "cross_entropy"))
            training.optim_step(ADAM)
    together = [one.result(LIMIT_S).metrics["loss:sum"] for one in waiting][-8:]
    alone = [
        steps(clients[0].create_lora_training_client(MODEL, rank=4, seed=seed).result(LIMIT_S), 3)[-1]
        for seed in range(8)
    ]
    assert together == alone
    for one in clients:
        one.close("success").result(LIMIT_S)


def test_a_wrong_key_is_refused(service):
    with pytest.raises(tinker.AuthenticationError, match="TINKER_API_KEY"):
        tinker.ServiceClient(base_url=service.url, api_key="tml-wrong").create_lora_training_client(MODEL).result(
            LIMIT_S
        )


def asked(service, path, body):
    return httpx.post(f"{service.url}/api/v1/{path}", json=body, headers={"X-API-Key": TOKEN}, timeout=LIMIT_S)


def test_a_session_that_is_closed_ends_its_models(service):
    client = service.client()
    model = trained(client, 1).model_id
    client.close("success").result(LIMIT_S)
    assert asked(service, "session_heartbeat", {"session_id": model.split(":")[0]}).status_code == 410
    gone = asked(service, "get_info", {"model_id": model})
    assert (gone.status_code, "has ended" in gone.json()["detail"]) == (404, True)


# The service


def test_killed_in_mid_training_it_goes_on_after_a_restart(home, tmp_path):
    with Service(tmp_path, home) as service:
        training = trained(service.client())
        path = training.save_state("kept").result(LIMIT_S).path
        sampler = training.save_weights_for_sampler("kept").result(LIMIT_S).path
        drawn = sampled(service.client().create_sampling_client(model_path=sampler).result(LIMIT_S)).sequences[0].tokens
        expected = steps(training, 2)
        service.kill()
        with service:
            client = service.client()
            assert steps(client.create_training_client_from_state_with_optimizer(path).result(LIMIT_S), 2) == expected
            assert (
                sampled(client.create_sampling_client(model_path=sampler).result(LIMIT_S)).sequences[0].tokens == drawn
            )


def test_a_sampler_goes_on_while_the_service_is_started_again(home, tmp_path):
    with Service(tmp_path, home) as service:
        sampler = service.client().create_sampling_client(base_model=MODEL).result(LIMIT_S)
        before = sampled(sampler).sequences[0].tokens
        service.kill()
        with service:
            assert sampled(sampler).sequences[0].tokens == before


def test_a_model_of_before_a_restart_says_how_to_go_on(home, tmp_path):
    with Service(tmp_path, home) as service:
        training = trained(service.client(), 1)
        service.kill()
        with service, pytest.raises(tinker.NotFoundError, match="create_training_client_from_state_with_optimizer"):
            loss(training)


def test_it_ends_when_told_to(home, tmp_path):
    with Service(tmp_path, home) as service:
        service.process.terminate()
        until(lambda: service.process.poll() is not None, "SIGTERM did not end it")
    assert not (tmp_path / "outputs/tinker/service.json").exists()
