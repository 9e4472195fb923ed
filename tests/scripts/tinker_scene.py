"""A local service as a process or in a thread, with the real SDK beside it."""

from __future__ import annotations

import functools
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TOKEN = "tml-" + "0" * 20
LIMIT_S = 300
MODEL = "local/small"
SDK_WARNINGS = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # the SDK leaves its connections to the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # names that it will give up, and the cookbook uses
]
SDK = [*SDK_WARNINGS, pytest.mark.usefixtures("collected")]  # for tests that use the SDK in their own process


@functools.cache
def leave_out_imports():
    """Leave what is loaded by now out of later collections: with torch each would take a large part of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def collected():
    """What the SDK left is collected here, where its warnings are known."""
    leave_out_imports()
    yield
    from tests.scripts import tinker_engine_fake

    tinker_engine_fake.collect()


class Service:
    """scripts/serve_tinker.py in a folder; `home` holds its models."""

    def __init__(self, folder, home, *words, hub=None):
        self.folder, self.words = folder, words
        self.hub = hub or Path(folder) / "hub"  # the hub's cache of whoever works here
        own = {"DO_TASKS_MODELS": str(home), "TINKER_API_KEY": TOKEN, "HF_HUB_OFFLINE": "1", "HF_HOME": str(self.hub)}
        self.environ = {**os.environ, **own}
        self.process, self.url, self.port, self.reader = None, "", 0, None
        self.said = ""

    def __enter__(self):
        command = [sys.executable, str(SCRIPTS / "serve_tinker.py"), "--port", str(self.port), *self.words]
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        watch = threading.Timer(LIMIT_S, self.process.kill)
        watch.start()
        for line in self.process.stdout:
            self.said += line
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                watch.cancel()
                self.url, self.port = found[0], int(found[1])
                self.reader = threading.Thread(target=self.read, daemon=True)
                self.reader.start()
                return self
        watch.cancel()
        self.process.wait(LIMIT_S)
        self.process.stdout.close()
        raise AssertionError(f"the service did not start: {self.said}")

    def read(self):
        self.said += self.process.stdout.read()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(LIMIT_S)
        finally:
            self.process.kill()
            self.ended()

    def ended(self):
        self.process.wait(LIMIT_S)
        self.reader.join(LIMIT_S)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.ended()

    def run(self, folder, *words):
        """Run Python in another folder, as somebody does who has the service's address and key."""
        environ = {**self.environ, "TINKER_BASE_URL": self.url, "TINKER_TELEMETRY": "0"}
        del environ["DO_TASKS_MODELS"]
        return subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=2 * LIMIT_S,
            check=False,
        )

    def client(self, **more):
        import tinker

        return tinker.ServiceClient(base_url=self.url, api_key=TOKEN, **more)


def until(true, otherwise, limit_s=LIMIT_S):
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
