"""A folder is served under a name of the hub; clients that go away leave no traceback; both through the command."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from tests.scripts.tinker_scene import MODEL, SCRIPTS, SDK, TOKEN, Service, until

pytest.importorskip("torch")
tinker = pytest.importorskip("tinker")
pytest.importorskip("fastapi")
fake = pytest.importorskip("tests.scripts.tinker_engine_fake", exc_type=ImportError)
small_llama = pytest.importorskip("tests.scripts.small_llama")

LIMIT_S = 300
NAME = "Qwen/Qwen3-8B-Base"
pytestmark = [pytest.mark.timeout(300), *SDK]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_llama.make(tmp_path_factory.mktemp("models") / "small")


BOTH = """
import sys, tinker, transformers
with tinker.ServiceClient() as service:
    training = service.create_lora_training_client(sys.argv[1], rank=2).result(60)
    path = training.save_state("a").result(60).path
    assert service.create_training_client_from_state(path).result(60)
    sampler = training.save_weights_and_get_sampling_client().result(60)
    assert sampler.get_base_model() == sys.argv[1]
    by_name = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
    for one in (training.get_tokenizer(), sampler.get_tokenizer(), by_name):
        print(one.convert_ids_to_tokens(20))
"""


def test_a_program_that_knows_the_hubs_name_alone_trains_samples_and_reads_the_tokenizer(folder, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    with Service(tmp_path, "none", "serve", "--name", f"{NAME}={folder}") as service:
        assert f"serving {NAME}" in service.said
        done = service.run(other, "-c", BOTH, NAME)
        assert done.stdout.split("\n")[:-1] == [small_llama.word(20)] * 3, done.stderr[-2000:]
        assert list(service.hub.glob("hub/models--Qwen*"))
    assert not list(service.hub.glob("hub/models--Qwen*"))  # the name means the hub's own model again


@pytest.mark.deep
def test_a_model_that_was_downloaded_is_left_alone(folder, tmp_path):
    theirs = tmp_path / "hub" / "hub" / "models--Qwen--Qwen3-8B-Base" / "blobs"
    theirs.mkdir(parents=True)
    with Service(tmp_path, "none", "--name", f"{NAME}={folder}") as service:
        assert "holds the hub's Qwen/Qwen3-8B-Base" in service.said
    assert [one.name for one in theirs.parent.iterdir()] == ["blobs"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("Qwen", "write HUB/NAME=FOLDER"),
        ("Qwen=x", "write HUB/NAME=FOLDER"),
        ("local/small={}", "is the name of another model"),
        ("Qwen/A=nowhere", "nowhere is no folder with a config.json"),
        ("Qwen/A=", "is no folder with a config.json"),
    ],
)
def test_a_name_that_cannot_be_served_is_refused_in_one_line(folder, tmp_path, given, words):
    command = [sys.executable, str(SCRIPTS / "serve_tinker.py"), "--name", given.format(folder)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert words in done.stderr


def datum():
    inputs = {"target_tokens": [6, 7, 8], "weights": [1.0, 1.0, 1.0]}
    return tinker.Datum(model_input=tinker.ModelInput.from_ints([5, 6, 7]), loss_fn_inputs=inputs)


def offered(service, name):
    """Return the text of the tokenizer that clients find by name."""
    cache = service.hub / "hub" / f"models--{name.replace('/', '--')}"
    return (cache / "snapshots" / (cache / "refs" / "main").read_text() / "tokenizer.json").read_text()


def make_again(folder):
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace(f'"{small_llama.word(20)}"', '"other"'))


def test_a_folder_that_changed_is_refused_to_new_clients_and_what_runs_goes_on(tmp_path):
    """A client would read the new tokenizer for the old weights, or the old one for the new weights."""
    home = tmp_path / "models"
    folders = {name: home / name for name in ("small", "named", "unused")}
    for folder in folders.values():
        small_llama.make(folder)
    names = [f"--name=Qwen/{name}={folders[name]}" for name in ("named", "unused")]
    with Service(tmp_path, home, *names) as service, service.client() as client:
        begun = {
            name: client.create_lora_training_client(name, rank=2).result(LIMIT_S) for name in (MODEL, "Qwen/named")
        }
        for folder in folders.values():
            make_again(folder)
        for name in (*begun, "Qwen/unused"):
            for make in (client.create_lora_training_client, client.create_sampling_client):
                with pytest.raises(tinker.TinkerError, match="changed while it was served: start the service again"):
                    make(base_model=name).result(LIMIT_S)
        for training in begun.values():
            training.forward_backward([datum()], "cross_entropy").result(LIMIT_S)
            sampler = training.save_weights_and_get_sampling_client().result(LIMIT_S)
            assert sampler.sample(tinker.ModelInput.from_ints([5]), 1, tinker.SamplingParams(max_tokens=1)).result(
                LIMIT_S
            )
            assert small_llama.word(20) in offered(service, training.get_info().model_data.model_name)


@pytest.mark.deep
def test_a_name_that_two_services_serve_lives_until_both_have_ended(folder, tmp_path):
    """Both have one hub cache."""
    (tmp_path / "other").mkdir()
    with Service(tmp_path, "none", "--name", f"{NAME}={folder}") as first:
        with Service(tmp_path / "other", "none", "--name", f"{NAME}={folder}", hub=first.hub) as second:
            assert f"serving {NAME}" in second.said
        assert list(first.hub.glob("hub/models--Qwen*"))
    assert not list(first.hub.glob("hub/models--Qwen*"))


def half(service, path, head=""):
    """Begin a request whose body never comes whole, and go away."""
    with socket.create_connection(("127.0.0.1", service.port)) as line:
        lines = [f"POST /api/v1/{path} HTTP/1.1", "Host: x", f"X-API-Key: {TOKEN}", "Content-Length: 99", head]
        line.sendall(("\r\n".join(filter(None, lines)) + '\r\n\r\n{"a"').encode())


@pytest.mark.deep
def test_clients_that_go_away_leave_no_traceback(folder, tmp_path):
    with Service(tmp_path, "none", "--name", f"{NAME}={folder}") as service:
        for path in ("forward_backward", "asample", "retrieve_future", "no/such/route"):
            half(service, path)
        client = service.client()
        training = client.create_lora_training_client(NAME, rank=2).result(LIMIT_S)
        assert training.get_info()
        leaving = [sys.executable, "-c", LEAVE, NAME]
        assert (
            subprocess.run(leaving, env=service.environ | {"TINKER_BASE_URL": service.url}, check=False).returncode == 7
        )
        until(training.get_info, "it does not answer any more")
    assert "Traceback" not in service.said
    assert "Error" not in service.said
    assert service.process.returncode == 0


LEAVE = """
import os, sys, tinker
service = tinker.ServiceClient()
sampler = service.create_sampling_client(base_model=sys.argv[1]).result(60)
for _ in range(5):
    sampler.sample(tinker.ModelInput.from_ints([5]), 8, tinker.SamplingParams(max_tokens=200))
import time; time.sleep(0.3)
os._exit(7)
"""
