"""Step 1, without a key and with a made-up one, against a service of our own."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import pytest

pytest.importorskip("tinker", reason="the tinker SDK is not installed")

KEY = "tml-made-up-key-1234567890"
SCRIPT = "01_test_auth.py"


class Service:
    """Answers every question about capabilities in one way; keeps what it was asked."""

    def __init__(self, status: int, answer: dict) -> None:
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.reply()

            def reply(self) -> None:
                outer.paths.append(self.path)
                outer.keys.append(self.headers.get("X-API-Key"))
                asked = "get_server_capabilities" in self.path
                body = json.dumps(answer if asked else {}).encode()
                self.send_response(status if asked else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


def ask(project, url, *overrides):
    return project.run(
        SCRIPT,
        "--profile",
        "tinker",
        *overrides,
        TINKER_API_KEY=KEY,
        TINKER_BASE_URL=url,
        TINKER_TELEMETRY="0",
    )


def everything_written(project, done) -> str:
    texts = [(project.folder / name).read_text() for name in project.files()]
    return "\n".join([done.out, done.err, *texts])


def test_without_a_key_the_local_profile_says_what_it_has(project):
    done = project.run(SCRIPT)
    assert done.code == 0, done.err
    assert done.result["note"] == "access: none, local profile"
    assert done.result["criteria"]["The SDK is the pinned one"]["met"] is True
    assert "API key validated" not in done.result["criteria"]
    assert project.json("outputs/access.json")["service_client"] is True


def test_the_local_profile_leaves_a_key_alone(project):
    done = project.run(SCRIPT, TINKER_API_KEY=KEY, TINKER_BASE_URL="http://127.0.0.1:9")
    assert done.code == 0
    assert "a key is here, this profile leaves it alone" in done.result["note"]
    assert KEY not in everything_written(project, done)


def test_an_sdk_that_is_not_the_pinned_one_fails(project):
    (project.folder / "constraints.txt").write_text("tinker==0.1.0\n")
    done = project.run(SCRIPT)
    assert done.code == 1
    assert "pin 0.1.0" in done.err


def test_an_sdk_that_does_not_import_is_one_line(project):
    (project.folder / "lib").mkdir()
    (project.folder / "lib/tinker.py").write_text("raise ImportError('no such SDK')\n")
    done = project.run(SCRIPT, PYTHONPATH=str(project.folder / "lib"))
    assert done.code == 1
    assert done.err == ("error: tinker does not import (no such SDK): pip install -c constraints.txt tinker\n")


def test_the_tinker_profile_without_a_key_fails_and_says_where_to_put_it(project):
    done = project.run(SCRIPT, "--profile", "tinker")
    assert done.code == 1
    assert done.result["criteria"]["API key validated"]["met"] is False
    assert "set TINKER_API_KEY" in done.err


def test_a_service_that_accepts_the_key_is_asked_for_its_models(project):
    answer = {"supported_models": [{"model_name": "small/model"}]}
    with Service(200, answer) as service:
        done = ask(project, service.url, "teacher.model=small/model")
    assert done.code == 0, done.err
    assert done.result["criteria"]["API key validated"]["met"] is True
    assert done.result["criteria"]["The models are served"] == {"met": True, "evidence": "small/model"}
    assert "billed by the service" in done.out
    assert project.json("outputs/access.json")["models"] == ["small/model"]
    assert any("get_server_capabilities" in path for path in service.paths)
    assert KEY in service.keys
    assert KEY not in everything_written(project, done)


@pytest.mark.parametrize(
    ("listed", "said"),
    [(["Qwen/Qwen3-8B", "meta/other"], "it lists Qwen/Qwen3-8B"), ([], "it lists none")],
)
def test_a_model_that_the_service_does_not_list_fails(project, listed, said):
    with Service(200, {"supported_models": [{"model_name": name} for name in listed]}) as service:
        done = ask(project, service.url)
    assert done.code == 1
    found = done.result["criteria"]["The models are served"]
    assert not found["met"]
    assert "does not list Qwen/Qwen3.5-9B" in found["evidence"]
    assert said in found["evidence"]


def test_a_refused_key_is_one_line(project):
    with Service(401, {"detail": f"bad key {KEY}"}) as service:
        done = ask(project, service.url)
    assert done.code == 1
    assert "refused the key" in done.result["criteria"]["API key validated"]["evidence"]
    assert "Traceback" not in done.err
    assert KEY not in everything_written(project, done)


def test_a_dead_port_is_one_line_and_a_later_try(project):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        done = ask(project, f"http://127.0.0.1:{unused.getsockname()[1]}", "access.limit_s=3")
    assert done.code == 75, done.err
    assert "no answer from http://127.0.0.1" in done.err
    assert "Traceback" not in done.err
    assert "no answer from" in done.result["note"]


def test_a_service_that_never_answers_is_left_at_the_limit(project):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        done = ask(project, f"http://127.0.0.1:{silent.getsockname()[1]}", "access.limit_s=3")
    assert done.code == 75, done.err
    assert "within 3 s" in done.err
