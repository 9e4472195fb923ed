"""Weights are taken away by the SDK's own command, file by file, by signed addresses."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.scripts.tinker_scene import MODEL, SDK, TOKEN, Service

pytest.importorskip("torch")
tinker = pytest.importorskip("tinker")
pytest.importorskip("fastapi")
fake = pytest.importorskip("tests.scripts.tinker_engine_fake", exc_type=ImportError)
small_llama = pytest.importorskip("tests.scripts.small_llama")

from common import files  # noqa: E402  # those below need torch
from distillation.student import export  # noqa: E402
from tinker_local import external_weights  # noqa: E402

LIMIT_S = 300
HOME = "outputs/models"  # as it is by default: seen from the service's folder
pytestmark = [pytest.mark.timeout(300), *SDK]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A project's folder with a small model."""
    folder = tmp_path_factory.mktemp("project")
    small_llama.make(folder / HOME / "small")
    return folder


@pytest.fixture(scope="module")
def service(place):
    with Service(place, HOME) as service:
        yield service


@pytest.fixture(scope="module")
def saved(service):
    """Paths of one training: its state, its weights for a sampler, its external weights."""
    with service.client() as client:
        training = client.create_lora_training_client(MODEL, rank=4, seed=1).result(LIMIT_S)
        inputs = {"target_tokens": [6, 7, 8], "weights": [1.0, 1.0, 1.0]}
        datum = tinker.Datum(model_input=tinker.ModelInput.from_ints([5, 6, 7]), loss_fn_inputs=inputs)
        training.forward_backward([datum], "cross_entropy").result(LIMIT_S)
        training.optim_step(tinker.AdamParams(learning_rate=1e-2)).result(LIMIT_S)
        return {
            "state": training.save_state("state").result(LIMIT_S).path,
            "sampler": training.save_weights_for_sampler("sampler").result(LIMIT_S).path,
            "external": training.save_weights_external("taken").result(LIMIT_S).path,
        }


def download(service, folder, path):
    return service.run(folder, "-m", "tinker.cli", "checkpoint", "download", path, "--output", "got", "--force")


def kept(place, path):
    run, kind, name = path.removeprefix("tinker://").split("/")
    return place / "outputs" / "tinker" / "runs" / run / kind / name


@pytest.mark.parametrize("which", ["state", "external"])
def test_the_command_of_the_sdk_downloads_a_checkpoint(place, service, saved, tmp_path, which):
    done = download(service, tmp_path, saved[which])
    assert done.returncode == 0, done.stderr
    found = {path.name: path for path in (tmp_path / "got").rglob("*") if path.is_file()}
    assert set(found) == set(export.WANTED)
    wanted = kept(place, saved["state"])
    assert files.sha256(found[export.WANTED[0]]) == files.sha256(wanted / export.WANTED[0])
    with service.client() as client:
        mine = client.create_rest_client().list_user_checkpoints().result(LIMIT_S).checkpoints
    assert [one.tinker_path for one in mine if one.checkpoint_type == "external"] == [saved["external"]]


def test_an_export_fetches_from_a_service_that_is_named(service, saved, tmp_path, monkeypatch):
    monkeypatch.setenv("TINKER_BASE_URL", service.url)
    monkeypatch.setenv("TINKER_API_KEY", TOKEN)
    student = type("Student", (), {"state_path": saved["state"], "sampler_path": saved["sampler"]})
    found = export.source(student, tmp_path)
    assert tmp_path in found.parents
    assert {path.name for path in found.iterdir()} == set(export.WANTED)


@pytest.mark.filterwarnings("ignore")
def test_what_was_downloaded_is_what_the_service_samples_from(place, service, saved, tmp_path):
    peft = pytest.importorskip("peft")
    import torch

    assert download(service, tmp_path, saved["state"]).returncode == 0
    folder = next((tmp_path / "got").rglob(export.WANTED[0])).parent
    base = small_llama.read(place / HOME / "small")
    export.untie(base)
    worn = peft.PeftModel.from_pretrained(base, str(folder)).eval()
    with torch.no_grad():
        logits = worn(input_ids=torch.tensor([[5, 6, 7]])).logits[0].double().log_softmax(-1)
    with service.client() as client:
        sampler = client.create_sampling_client(model_path=saved["sampler"]).result(LIMIT_S)
        served = sampler.compute_logprobs(tinker.ModelInput.from_ints([5, 6, 7])).result(LIMIT_S)
    assert served[1:] == pytest.approx([float(logits[0, 6]), float(logits[1, 7])], abs=1e-4)


def test_a_checkpoint_that_is_not_there_is_said_to_be_absent(service, saved, tmp_path):
    done = download(service, tmp_path, saved["state"].replace("/state", "/gone"))
    assert done.returncode != 0
    assert "no checkpoint" in done.stdout + done.stderr


def test_a_file_is_sent_to_who_has_its_signed_address_alone(service, saved):
    with service.client() as client:
        told = client.create_rest_client().get_external_weights_urls(saved["external"]).result(LIMIT_S)
    address = told.urls[export.WANTED[0]]
    whole = httpx.get(address)
    assert (whole.status_code, int(whole.headers["content-length"])) == (200, len(whole.content))
    assert 3000 < told.expires.timestamp() - time.time() <= 3600
    for wrong in (
        address.replace("signature=", "signature=0"),
        address.split("?")[0],
        address.replace("expires=", "expires=9"),
        address.replace(export.WANTED[0], export.WANTED[1]),
    ):
        answer = httpx.get(wrong)
        assert (answer.status_code, "ask for a new one" in answer.json()["detail"]) == (403, True)


WAYS_OUT = ("checkpoint.json", "..%2F..%2Frun.json", "%2e%2e", "..%2fsampler%2fadapter_config.json")


@pytest.mark.parametrize("file", WAYS_OUT)
def test_no_address_leads_out_of_the_weights(service, saved, file):
    run, _, name = saved["external"].removeprefix("tinker://").split("/")
    path = f"/api/v1/training_runs/{run}/checkpoints/external_weights/{name}/files/{file}"
    answer = httpx.get(service.url + path + f"?expires=9999999999&signature={'0' * 64}", headers={"X-API-Key": TOKEN})
    assert answer.status_code in {403, 404, 405}


def test_addresses_are_for_external_weights_of_a_run_with_the_key(service, saved):
    run, _, name = saved["external"].removeprefix("tinker://").split("/")
    at = f"{service.url}/api/v1/training_runs/{run}/checkpoints/"
    key = {"X-API-Key": TOKEN}
    assert httpx.get(f"{at}external_weights/{name}/external_weights_urls").status_code == 401
    assert httpx.get(f"{at}external_weights/gone/external_weights_urls", headers=key).status_code == 404
    refused = httpx.get(f"{at}weights/state/external_weights_urls", headers=key)
    assert (refused.status_code, "save_weights_external" in refused.json()["detail"]) == (400, True)


def test_external_weights_are_nothing_to_go_on_from(service, saved):
    with service.client() as client:
        for make in (
            lambda: client.create_sampling_client(model_path=saved["external"]),
            lambda: client.create_training_client_from_state(saved["external"]),
        ):
            with pytest.raises(tinker.TinkerError, match="of another kind"):
                make().result(LIMIT_S)


def test_encrypted_weights_are_for_their_recipients_alone(place, service, saved):
    pyrage = pytest.importorskip("pyrage")
    mine, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    with service.client() as client:
        training = client.create_training_client_from_state(saved["state"]).result(LIMIT_S)
        keys = [str(mine.to_public())]
        path = training.save_weights_external("hidden", age_encryption_recipients=keys).result(LIMIT_S).path
        urls = client.create_rest_client().get_external_weights_urls(path).result(LIMIT_S).urls
    assert set(urls) == {f"{name}.age" for name in export.WANTED}
    for name in export.WANTED:
        sent = httpx.get(urls[f"{name}.age"]).content
        assert pyrage.decrypt(sent, [mine]) == (kept(place, saved["external"]) / name).read_bytes()
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(sent, [other])
        assert not (kept(place, path) / name).exists()
    with service.client() as client:
        client.create_rest_client().delete_checkpoint_from_tinker_path(path).result(LIMIT_S)


@pytest.mark.parametrize("key", ["age1x", "", "ssh-rsa x", "AGE-SECRET-KEY-1"])
def test_a_recipient_that_is_none_is_refused_in_words_and_the_client_goes_on(service, key):
    pytest.importorskip("pyrage")
    with service.client() as client:
        training = client.create_lora_training_client(MODEL, rank=2).result(LIMIT_S)
        with pytest.raises(tinker.TinkerError, match=r"write an age1\.\.\. key or an SSH public key"):
            training.save_weights_external("a", age_encryption_recipients=[key]).result(LIMIT_S)
        assert training.save_state("b").result(LIMIT_S).path


# With a quick engine


def addresses(hosted, number=1):
    running = hosted.model()
    body = {"model_id": running, "path": "out", "seq_id": number}
    path = hosted.result(hosted.post("save_weights_external", body))["path"]
    told = hosted.http.get(f"training_runs/{running}/checkpoints/external_weights/out/external_weights_urls").json()
    return path, running, told["urls"]


def test_an_address_ends_with_its_hour(tmp_path):
    with fake.Hosted(tmp_path) as hosted:
        _, _, urls = addresses(hosted)
        assert httpx.get(urls["adapter.json"]).status_code == 200
        ahead = hosted.app.state.service.store.clock() + external_weights.SIGNED_S + 1
        hosted.app.state.service.store.clock = lambda: ahead
        answer = httpx.get(urls["adapter.json"])
        assert (answer.status_code, answer.json()["detail"]) == (403, "this address has expired: ask for a new one")


def test_an_address_of_weights_that_were_deleted_is_refused(tmp_path):
    with fake.Hosted(tmp_path) as hosted:
        _, running, urls = addresses(hosted)
        assert hosted.http.delete(f"training_runs/{running}/checkpoints/external_weights/out").status_code == 200
        assert httpx.get(urls["adapter.json"]).status_code == 403


def test_a_link_among_the_weights_is_not_followed(tmp_path):
    with fake.Hosted(tmp_path / "state") as hosted:
        (tmp_path / "secret").write_text("secret")
        path, running, _ = addresses(hosted)
        folder = tmp_path / "state" / "runs" / running / "external_weights" / path.rpartition("/")[2]
        (folder / "link.json").symlink_to(tmp_path / "secret")
        told = hosted.http.get(f"training_runs/{running}/checkpoints/external_weights/out/external_weights_urls").json()
        assert set(told["urls"]) == {"adapter.json"}
