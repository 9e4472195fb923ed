"""One service for a state folder; scripts find it, and real credentials go elsewhere."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import Trouble
from distillation import tinker_client
from tests.scripts.tinker_scene import SDK
from tinker_local import server
from tinker_local.errors import Trouble as ServiceTrouble

fake = pytest.importorskip("tests.scripts.tinker_engine_fake", exc_type=ImportError)
tinker = pytest.importorskip("tinker")
ROOT = Path(__file__).resolve().parents[2]
A_SCRIPT = f"""
import atexit, sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "scripts")!r}]
import tinker
from tinker_local import server
from tests.scripts.tinker_engine_fake import MODEL, SumsEngine
embedded = server.Embedded(SumsEngine(), server.STATE)
atexit.register(embedded.close)
client = tinker.ServiceClient(base_url=embedded.address.url, api_key=embedded.address.token)
print(client.create_lora_training_client(MODEL, rank=2).result(60).model_id)
"""
LIMIT_S, MODEL, SumsEngine = fake.LIMIT_S, fake.MODEL, fake.SumsEngine


pytestmark = SDK


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    """A folder and an environment without credentials."""
    for name in [name for name in os.environ if name.startswith("TINKER_")]:
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "TINKER_TELEMETRY", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    tinker_client.local.cache_clear()
    yield
    tinker_client.local.cache_clear()


@pytest.fixture
def running():
    embedded = server.Embedded(SumsEngine(), server.STATE)
    yield embedded
    embedded.close()


def trained(client):
    return client.create_lora_training_client(MODEL, rank=2).result(LIMIT_S).model_id


def test_a_script_finds_the_service_that_runs(running):
    assert running.address.url in tinker_client.where()
    with tinker_client.service_client() as client:
        assert ":train:" in trained(client)


def test_a_proxy_is_not_asked_for_the_loopback(running, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with tinker_client.service_client() as client:
        assert ":train:" in trained(client)


@pytest.mark.parametrize("name", ["TINKER_BASE_URL", "TINKER_API_KEY"])
def test_what_is_named_in_the_environment_wins(monkeypatch, name):
    monkeypatch.setenv(name, "tml-http://127.0.0.1:9")
    assert tinker_client.is_real()


def test_a_profile_that_needs_no_service_leaves_a_key_alone(running, monkeypatch):
    monkeypatch.setenv("TINKER_API_KEY", "tml-somebody")
    assert not tinker_client.is_real("none")
    with tinker_client.service_client("none") as client:
        assert ":train:" in trained(client)


def test_a_profile_of_the_service_is_refused_without_a_key():
    with pytest.raises(Trouble, match="set TINKER_API_KEY"):
        tinker_client.service_client("tinker")


def test_without_credentials_it_is_the_local_one():
    assert not tinker_client.is_real()


def test_a_url_that_is_given_wins(running):
    engine = SumsEngine()
    other = server.Embedded(engine, server.STATE.parent / "other")
    try:
        with tinker_client.service_client(base_url=other.address.url, api_key=other.address.token) as client:
            trained(client)
        assert engine.calls["create"] == 1
    finally:
        other.close()


def test_two_services_do_not_share_a_state_folder(running):
    with pytest.raises(ServiceTrouble, match="another service"):
        server.Embedded(SumsEngine(), server.STATE)


def test_the_folder_is_free_when_a_service_has_ended():
    server.Embedded(SumsEngine(), server.STATE).close()
    server.Embedded(SumsEngine(), server.STATE).close()
    assert server.running(server.STATE) is None


def test_what_a_killed_service_left_is_not_taken_for_one():
    server.STATE.mkdir(parents=True)
    server.note(server.STATE, "http://127.0.0.1:9", is_own_token=True)
    (server.STATE / server.TOKEN).write_text("tml-x")
    assert server.running(server.STATE) is None


def test_the_key_is_for_its_owner_alone_and_stays():
    server.STATE.mkdir(parents=True)
    key = server.token_of(server.STATE, None)
    assert key.startswith("tml-")
    assert stat.S_IMODE((server.STATE / server.TOKEN).stat().st_mode) == 0o600
    assert server.token_of(server.STATE, None) == key


def test_an_empty_key_is_no_key():
    server.STATE.mkdir(parents=True)
    (server.STATE / server.TOKEN).write_text("")
    assert len(server.token_of(server.STATE, None)) > 20


def test_a_key_of_the_environment_is_kept_nowhere():
    server.STATE.mkdir(parents=True)
    assert server.token_of(server.STATE, "tml-mine") == "tml-mine"
    assert not (server.STATE / server.TOKEN).exists()


def test_a_taken_port_is_one_clear_line():
    with server.bound(0) as taken, pytest.raises(ServiceTrouble, match="--port"):
        server.bound(taken.getsockname()[1])


def test_a_port_that_is_none_is_one_clear_line():
    with pytest.raises(ServiceTrouble, match="--port"):
        server.bound(70_000)


def test_a_script_that_ends_with_its_service_says_nothing_of_it():
    done = subprocess.run(
        [sys.executable, "-c", A_SCRIPT], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
