"""The unmodified SDK against the routes, with an engine that is quick and countable."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.scripts.tinker_scene import SDK

fake = pytest.importorskip("tests.scripts.tinker_engine_fake", exc_type=ImportError)
tinker = pytest.importorskip("tinker")
types = tinker.types
LIMIT_S, MODEL, Hosted = fake.LIMIT_S, fake.MODEL, fake.Hosted
pytestmark = SDK


@pytest.fixture
def hosted(tmp_path):
    with Hosted(tmp_path, order_s=1.0, sweep_s=0.05) as hosted:
        yield hosted


def datum(*tokens):
    inputs = {"target_tokens": [*tokens[1:], 0]}
    return types.Datum(model_input=types.ModelInput.from_ints(list(tokens)), loss_fn_inputs=inputs)


def training(client):
    return client.create_lora_training_client(MODEL, rank=4).result(LIMIT_S)


def moved(model, times=1):
    """Train: each time the adapter moves by ten."""
    for _ in range(times):
        model.forward_backward([datum(4, 6)], "cross_entropy")
        model.optim_step(types.AdamParams(learning_rate=1.0)).result(LIMIT_S)


def first_drawn(sampler, **more):
    params = types.SamplingParams(max_tokens=2, **more)
    return list(sampler.sample(types.ModelInput.from_ints([1]), 1, params).result(LIMIT_S).sequences[0].tokens)


def test_the_sdk_trains_saves_and_samples(hosted):
    with hosted.client() as client:
        model = training(client)
        moved(model)
        sampler = model.save_weights_and_get_sampling_client().result(LIMIT_S)
        assert first_drawn(sampler) == [12, 13]


def test_the_sdk_goes_on_after_an_error(hosted):
    with hosted.client() as client:
        model = training(client)
        with pytest.raises(tinker.RequestFailedError, match="cross_entropy"):
            model.forward_backward([datum(1)], "none").result(LIMIT_S)
        assert model.forward([datum(4, 6)], "cross_entropy").result(LIMIT_S).metrics["loss:sum"] == 10.0


def test_a_training_is_resumed_in_a_service_that_began_anew(tmp_path):
    with Hosted(tmp_path) as hosted, hosted.client() as client:
        model = training(client)
        moved(model)
        path = model.save_state("a").result(LIMIT_S).path
        named = model.save_weights_for_sampler("b").result(LIMIT_S).path
    with Hosted(tmp_path) as hosted, hosted.client() as client:
        again = client.create_training_client_from_state_with_optimizer(path).result(LIMIT_S)
        assert again.forward([datum(4, 6)], "cross_entropy").result(LIMIT_S).metrics["loss:sum"] == 20.0
        assert first_drawn(client.create_sampling_client(model_path=named).result(LIMIT_S)) == [12, 13]
        listed = client.create_rest_client().list_training_runs().result(LIMIT_S).training_runs
        assert model.model_id in [one.training_run_id for one in listed]


def test_eight_clients_at_once_each_get_their_own(hosted):
    def work(number):
        with hosted.client() as client:
            model = training(client)
            moved(model, number)
            return first_drawn(model.save_weights_and_get_sampling_client().result(LIMIT_S))[0]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8), timeout=LIMIT_S))
    assert found == [(2 + 10 * number) % 50 for number in range(8)]


def test_many_samples_at_once_all_come_back(hosted):
    with hosted.client() as client:
        sampler = client.create_sampling_client(base_model=MODEL).result(LIMIT_S)
        params = types.SamplingParams(max_tokens=1)
        waiting = [sampler.sample(types.ModelInput.from_ints([n % 40]), 2, params) for n in range(60)]
        found = [[list(one.tokens) for one in each.result(LIMIT_S).sequences] for each in waiting]
    assert found == [[[n % 40 + 1]] * 2 for n in range(60)]


def test_logprobs_of_a_prompt_can_be_had_for_its_end_alone(hosted):
    with hosted.client() as client:
        sampler = client.create_sampling_client(base_model=MODEL).result(LIMIT_S)
        prompt = types.ModelInput.from_ints([1, 2, 3, 4])
        assert sampler.compute_logprobs(prompt, prompt_logprobs_last_n=2).result(LIMIT_S) == [None, None, -0.25, -0.25]


def test_a_life_can_be_set_and_ended(hosted):
    with hosted.client() as client:
        path = training(client).save_state("a").result(LIMIT_S).path
        rest = client.create_rest_client()
        expiries = []
        for seconds in (3600, None):
            rest.set_checkpoint_ttl_from_tinker_path(path, seconds).result(LIMIT_S)
            run = path.removeprefix("tinker://").split("/")[0]
            expiries.append(rest.list_checkpoints(run).result(LIMIT_S).checkpoints[0].expires_at)
        assert (expiries[0] is None, expiries[1]) == (False, None)


def test_numbers_come_back_as_they_were_sent(hosted):
    with hosted.client() as client:
        found = training(client).forward([datum(1, 2), datum(3)], "cross_entropy").result(LIMIT_S)
    assert [one["logprobs"].to_numpy().tolist() for one in found.loss_fn_outputs] == [[-1.0, -1.0], [-1.0]]
