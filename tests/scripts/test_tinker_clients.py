"""Clients elsewhere on the machine read the tokenizers of what is served, from any folder."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.scripts.tinker_scene import MODEL, SDK, Service

pytest.importorskip("torch")
tinker = pytest.importorskip("tinker")
pytest.importorskip("fastapi")
fake = pytest.importorskip("tests.scripts.tinker_engine_fake", exc_type=ImportError)
small_llama = pytest.importorskip("tests.scripts.small_llama")

from small_lm import hf_format, model, tokenizers  # noqa: E402

LIMIT_S = 300
HOME = "outputs/models"  # as it is by default: seen from the service's folder
ID = 20
pytestmark = [pytest.mark.timeout(300), *SDK]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A project's folder with small models: one of characters, and one whose tokenizer transformers cannot read."""
    folder = tmp_path_factory.mktemp("project")
    small_llama.make(folder / HOME / "small")
    shape = model.preset("tiny", vocab_size=9, context=32)
    for name in ("characters", "letters"):
        hf_format.save(folder / HOME / name, model.Llama(shape), tokenizers.train("char", ["to be"], 99))
    (folder / HOME / "letters" / "tokenizer.json").unlink()  # as versions before 0.2 left it
    return folder


@pytest.fixture(scope="module")
def service(place):
    with Service(place, HOME) as service:
        yield service


@pytest.fixture(scope="module")
def saved(service):
    """Paths of one training: its state, its weights for a sampler."""
    with service.client() as client:
        training = client.create_lora_training_client(MODEL, rank=4, seed=1).result(LIMIT_S)
        inputs = {"target_tokens": [6, 7, 8], "weights": [1.0, 1.0, 1.0]}
        datum = tinker.Datum(model_input=tinker.ModelInput.from_ints([5, 6, 7]), loss_fn_inputs=inputs)
        training.forward_backward([datum], "cross_entropy").result(LIMIT_S)
        training.optim_step(tinker.AdamParams(learning_rate=1e-2)).result(LIMIT_S)
        return {
            "state": training.save_state("state").result(LIMIT_S).path,
            "sampler": training.save_weights_for_sampler("sampler").result(LIMIT_S).path,
        }


EVERY_CLIENT = """
import json, sys, tinker
model, state, sampler = sys.argv[1:]
with tinker.ServiceClient() as service:
    training = service.create_lora_training_client(model, rank=2).result(60)
    clients = {
        "training": training,
        "resumed": service.create_training_client_from_state(state).result(60),
        "of the training": training.save_weights_and_get_sampling_client().result(60),
        "of a base": service.create_sampling_client(base_model=model).result(60),
        "of a path": service.create_sampling_client(model_path=sampler).result(60),
    }
    print(json.dumps({name: one.get_tokenizer().convert_ids_to_tokens([20]) for name, one in clients.items()}))
"""


CLIENTS = ("training", "resumed", "of the training", "of a base", "of a path")


def told(done):
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_client_gets_its_tokenizer_in_another_folder(service, saved, tmp_path):
    found = told(service.run(tmp_path, "-c", EVERY_CLIENT, MODEL, saved["state"], saved["sampler"]))
    assert found == {name: [small_llama.word(ID)] for name in CLIENTS}


@pytest.mark.deep
def test_a_service_that_began_anew_gives_them_too(place, saved, service, tmp_path):
    shutil.rmtree(service.hub, ignore_errors=True)
    with Service(place, HOME, "--state", str(tmp_path / "state")) as other:
        with other.client() as client:
            training = client.create_lora_training_client(MODEL, rank=2).result(LIMIT_S)
            paths = [
                training.save_state("a").result(LIMIT_S).path,
                training.save_weights_for_sampler("b").result(LIMIT_S).path,
            ]
        other.kill()
        with other:
            assert len(told(other.run(tmp_path, "-c", EVERY_CLIENT, MODEL, *paths))) == 5


def test_a_model_that_was_made_again_has_its_new_tokenizer(place, service, tmp_path):
    small_llama.make(place / HOME / "again")
    code = "import sys, tinker; s = tinker.ServiceClient().create_sampling_client(base_model='local/again').result(60)"
    code += "; print(repr(s.get_tokenizer().convert_ids_to_tokens(20)))"
    assert service.run(tmp_path, "-c", code).stdout.strip() == repr(small_llama.word(ID))
    path = place / HOME / "again" / "tokenizer.json"
    path.write_text(path.read_text().replace(f'"{small_llama.word(ID)}"', '"other"'))
    assert service.run(tmp_path, "-c", code).stdout.strip() == "'other'"


def test_a_model_of_characters_is_served_and_its_tokenizer_is_read(service, tmp_path):
    code = "import tinker; s = tinker.ServiceClient().create_sampling_client(base_model='local/characters').result(60)"
    code += "; t = s.get_tokenizer(); print(t.encode('to be', add_special_tokens=False), repr(t.decode([5, 6, 4])))"
    theirs = tokenizers.train("char", ["to be"], 99)
    assert service.run(tmp_path, "-c", code).stdout.strip() == f"{theirs.encode('to be')} {theirs.decode([5, 6, 4])!r}"


@pytest.mark.parametrize("make", ["create_lora_training_client", "create_sampling_client"])
def test_a_model_whose_tokenizer_no_client_can_read_is_refused_in_words(service, make):
    with service.client() as client, pytest.raises(tinker.TinkerError, match="tokenizer of kind char"):
        getattr(client, make)(base_model="local/letters").result(LIMIT_S)


def test_a_model_whose_tokenizer_no_client_can_read_is_not_listed(service):
    with service.client() as client:
        listed = [one.model_name for one in client.get_server_capabilities().supported_models]
    assert MODEL in listed
    assert "local/letters" not in listed


def test_a_checkpoint_is_refused_on_a_base_that_was_made_anew_with_another_tokenizer(place, service, tmp_path):
    small_llama.make(place / HOME / "anew")
    with Service(place, HOME, "--state", str(tmp_path / "state"), hub=service.hub) as other:
        with other.client() as client:
            training = client.create_lora_training_client("local/anew", rank=2).result(LIMIT_S)
            state = training.save_state("a").result(LIMIT_S).path
            weights = training.save_weights_for_sampler("b").result(LIMIT_S).path
            assert client.create_training_client_from_state(state).result(LIMIT_S)
        other.kill()
        path = place / HOME / "anew" / "tokenizer.json"
        path.write_text(path.read_text().replace(f'"{small_llama.word(ID)}"', '"other"'))
        with other, other.client() as client:
            with pytest.raises(tinker.TinkerError, match="with another tokenizer: train it again"):
                client.create_training_client_from_state(state).result(LIMIT_S)
            sampler = client.create_sampling_client(model_path=weights).result(LIMIT_S)
            with pytest.raises(tinker.TinkerError, match="with another tokenizer: train it again"):
                sampler.sample(tinker.ModelInput.from_ints([5]), 1, tinker.SamplingParams(max_tokens=1)).result(LIMIT_S)
