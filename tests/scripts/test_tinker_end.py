"""The service ends when it is told to, whatever it does at that moment."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys

import pytest

from tests.scripts.tinker_scene import LIMIT_S, MODEL, SCRIPTS, Service

server = pytest.importorskip("tinker_local.server")
pytestmark = pytest.mark.timeout(300)


class Serving:
    """A server that notes that it was run."""

    should_exit = False
    runs = 0

    def run(self, _sockets):
        self.runs += 1


def test_a_signal_whose_exception_was_lost_during_the_start_still_ends_the_service():
    ending, serving = server.Ending(), Serving()
    with contextlib.suppress(server.EndedError):  # as a callback of the interpreter does
        ending.ask(signal.SIGTERM, None)
    ending.run(serving, None)
    assert serving.runs == 0


def test_a_signal_before_the_server_listens_for_it_ends_the_server():
    ending, serving = server.Ending(), Serving()
    ending.run(serving, None)
    ending.ask(signal.SIGTERM, None)
    assert serving.should_exit


def test_the_command_ends_without_taking_modules_down_and_says_why_it_ended(tmp_path):
    code = "import atexit; atexit.register(print, 'late'); from tinker_local import server; server.entry()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--name", "x"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "write HUB/NAME=FOLDER" in done.stderr


BUSY = """
import os, sys, time, tinker
sampler = tinker.ServiceClient().create_sampling_client(base_model=sys.argv[1]).result(60)
ask = lambda number, most: sampler.sample(
    tinker.ModelInput.from_ints([5]), number, tinker.SamplingParams(max_tokens=most, stop=[])
)
ask(1, 2).result(60)
waiting = [ask(256, 250) for _ in range(60)]
time.sleep(1)
print("busy", flush=True)
time.sleep(300)
"""


@pytest.mark.deep
def test_with_requests_under_way_it_ends_without_a_traceback(tmp_path):
    pytest.importorskip("torch")
    small_llama = pytest.importorskip("tests.scripts.small_llama")
    small_llama.make(tmp_path / "small")
    with Service(tmp_path, tmp_path) as service:
        environ = service.environ | {"TINKER_BASE_URL": service.url, "TINKER_TELEMETRY": "0"}
        command = [sys.executable, "-c", BUSY, MODEL]
        with subprocess.Popen(command, env=environ, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as client:
            try:
                assert client.stdout.readline() == "busy\n"
                service.process.send_signal(signal.SIGTERM)
                assert service.process.wait(LIMIT_S) == 0
            finally:
                client.kill()
        service.reader.join(LIMIT_S)
        assert "Traceback" not in service.said
        assert "Error" not in service.said


@pytest.mark.deep
def test_a_signal_at_its_first_word_ends_it(tmp_path):
    pytest.importorskip("fastapi")
    pytest.importorskip("tinker")
    for _ in range(4):
        with Service(tmp_path, "none") as service:
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(LIMIT_S) == 0
