"""Start the service: by itself, or inside a script if no other runs."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tinker_local import files
from tinker_local.errors import FAILED, USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import uvicorn

    from tinker_local.api_types import Engine

HOST = "127.0.0.1"
STATE = Path("outputs/tinker")
SERVICE, TOKEN, LOCK = "service.json", "token", "lock"
READY_S, END_S = 60.0, 15.0
NONE_YET = "no model yet: scripts/make_base_model.py makes one in minutes, --model FOLDER names another"
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Address:
    """The URL and the key of a service."""

    url: str
    token: str


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """Lock a state folder; raise Trouble if another service has it."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / LOCK).open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Trouble(f"another service has {state}: use that one, or set --state to another folder") from error
        try:
            yield
        finally:
            (state / SERVICE).unlink(missing_ok=True)


def token_of(state: Path, environ: str | None) -> str:
    """Return the service's key: from the environment, else its own one in a file that only the owner can read."""
    if environ:
        return environ
    path = state / TOKEN
    if not path.exists() or not path.read_text(encoding="utf-8").strip():
        beside = state / f".{TOKEN}"
        beside.unlink(missing_ok=True)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="utf-8") as out:
            out.write(f"tml-local-{secrets.token_urlsafe(24)}")
        os.replace(beside, path)
    return path.read_text(encoding="utf-8").strip()


def bound(port: int) -> socket.socket:
    """Return a listening socket on the loopback; raise Trouble if the port is taken."""
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        raise Trouble(f"port {port} cannot be used ({error}): choose another with --port, 0 for any", USAGE) from error


def prepared(engine: Engine, state: Path, token: str) -> uvicorn.Server:
    """Return the server; it does not run yet."""
    import uvicorn

    from tinker_local.limits import Bounds
    from tinker_local.routes import create
    from tinker_local.storage import Store

    app = create(engine, store=Store(state), token=token, bounds=Bounds())
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=10, ws="none")
    app.state.server = uvicorn.Server(config)
    server: uvicorn.Server = app.state.server
    return server


def note(state: Path, url: str, *, is_own_token: bool) -> None:
    """Write the URL, and whether there is a key file, for later scripts."""
    files.write_json(state / SERVICE, {"url": url, "pid": os.getpid(), "has_token": is_own_token})


def running(state: Path) -> Address | None:
    """Return the service of a state folder, None if none answers."""
    import urllib.request

    try:
        about: dict[str, Any] = json.loads((state / SERVICE).read_text(encoding="utf-8"))
        token = (state / TOKEN).read_text(encoding="utf-8").strip() if about["has_token"] else ""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy for the loopback
        with direct.open(f"{about['url']}/api/v1/healthz", timeout=5) as answer:
            is_there = answer.status == 200
    except (OSError, ValueError, KeyError):
        return None
    if not token:
        raise Trouble(f"the service at {about['url']} has a key of its own: set TINKER_BASE_URL and TINKER_API_KEY")
    return Address(about["url"], token) if is_there else None


class Embedded:
    """A service in a thread of this process."""

    def __init__(self, engine: Engine, state: Path) -> None:
        self.held = contextlib.ExitStack()
        self.held.enter_context(alone(state))
        token = token_of(state, None)
        listener = bound(0)
        self.server = prepared(engine, state, token)
        self.address = Address(f"http://{HOST}:{listener.getsockname()[1]}", token)
        self.thread = threading.Thread(target=self.server.run, args=([listener],), name="tinker-service", daemon=True)
        self.thread.start()
        self.wait()
        note(state, self.address.url, is_own_token=True)

    def wait(self) -> None:
        """Wait until it answers; raise Trouble if it does not."""
        until = time.monotonic() + READY_S
        while not self.server.started:
            if not self.thread.is_alive() or time.monotonic() > until:
                self.close()
                raise Trouble("the local service did not start: run scripts/serve_tinker.py to see why")
            time.sleep(0.01)

    def close(self) -> None:
        """Stop the service, and wait for its end for a limited time."""
        self.server.should_exit = True
        self.thread.join(END_S)
        self.held.close()


def entry() -> NoReturn:
    """Run the command and end the process at once: taking torch's modules down one by one takes seconds."""
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # its reader has gone, or there is none
            stream.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "act",
        nargs="?",
        choices=["serve"],
        default="serve",
        help="start the service; the only command, and the default",
    )
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0, the default, takes any")
    parser.add_argument("--state", type=Path, default=STATE, help="where checkpoints and sessions are kept")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="folder of a model, or a hub name; beside the folders of outputs/models",
    )
    parser.add_argument(
        "--name", action="append", default=[], metavar="HUB/NAME=FOLDER", help="serve a folder under a name of the hub"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of the processor; small models are fastest with 1")
    given = parser.parse_args(arguments)
    try:
        return serve(given)
    except ModuleNotFoundError as error:
        return explain(Trouble(f"{error.name} is not installed: pip install 'do-tasks[tinker-local]'", USAGE))
    except (Trouble, OSError) as error:
        return explain(error)


def serve(given: argparse.Namespace) -> int:
    """Lock the state folder, listen, print the URL, serve."""
    from tinker_local import aliases
    from tinker_local.api_types import RefusedError
    from tinker_local.engine import TorchEngine

    ending = Ending()
    with contextlib.suppress(EndedError), alone(given.state), bound(given.port) as listener:
        ending.listen()  # before the URL is written for other scripts
        key = os.environ.get("TINKER_API_KEY")
        token = token_of(given.state, key)
        try:
            named = aliases.read(given.name)
            engine = TorchEngine(models=given.model, aliases=named, device=given.device, threads=given.threads)
            names = offered(engine, named)
        except RefusedError as error:
            raise Trouble(str(error), USAGE) from error
        server = prepared(engine, given.state, token)
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        note(given.state, url, is_own_token=not key)
        print(f"serving {', '.join(names) or NONE_YET}")
        where = "in its environment's TINKER_API_KEY" if key else f"in {given.state / TOKEN}"
        print(f"TINKER_BASE_URL={url}   (the key is {where})", flush=True)
        try:
            ending.run(server, listener)
        finally:
            aliases.withdraw(named)
    return 0


def offered(engine: Engine, named: Mapping[str, str]) -> list[str]:
    """Return the names of the served models, and make their tokenizers available to clients."""
    from tinker_local import aliases, tokenizer_files

    served = engine.models()
    for one in served:
        tokenizer_files.offer(one)
    aliases.offer(one for one in served if one.name in named)
    return [one.name for one in served]


class EndedError(BaseException):
    """Raised by SIGTERM or Ctrl-C before the server runs."""


class Ending:
    """The effect of SIGTERM and Ctrl-C: they end the start, or the server once there is one."""

    def __init__(self) -> None:
        self.server: uvicorn.Server | None = None
        self.is_asked = False

    def listen(self) -> None:
        """Handle signals from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.ask)

    def ask(self, _number: int, _frame: object) -> None:
        """Handle a signal; also those that the server raises again after its end."""
        self.is_asked = True
        if self.server is None:
            raise EndedError
        self.server.should_exit = True

    def run(self, server: uvicorn.Server, listener: socket.socket) -> None:
        """Serve until a signal; not at all after one whose exception was lost in a callback during the start."""
        self.server = server
        if not self.is_asked:
            server.run([listener])


def explain(error: Trouble | OSError) -> int:
    """Print one line, write it to the result file that DO_TASKS_RESULT names; return the exit code."""
    line = str(error) if isinstance(error, Trouble) else f"{error}: check rights, space and path"
    print(f"error: {line}", file=sys.stderr)
    path = os.environ.get("DO_TASKS_RESULT")
    if path:
        files.write_json(Path(path), {"criteria": {}, "metrics": {}, "note": line})
    return error.exit_code if isinstance(error, Trouble) else FAILED


if __name__ == "__main__":
    entry()
