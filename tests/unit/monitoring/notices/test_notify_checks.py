"""What keeps a notifier from telling anyone is known before there is something to tell."""

from __future__ import annotations

import subprocess
import sys

import pytest

from executor.monitoring.model import Notifier
from executor.monitoring.notices.notify_checks import trouble, written_trouble
from executor.monitoring.notices.schemes import SCHEMES

ASKS = """
import apprise
rows = apprise.Apprise().details()["schemas"]
print(*(scheme for row in rows for kind in ("protocols", "secure_protocols") for scheme in row[kind] or ()))
"""
ENVIRON = {"PATH": "/usr/bin:/bin", "HOOK": "json://localhost:1", "WORDS": "hook", "ODD": "slak://tok3nABC"}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "tell.sh").write_text("#!/bin/sh\n")
    (tmp_path / "tell.sh").chmod(0o755)
    (tmp_path / "plain.sh").write_text("#!/bin/sh\n")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("kind", "target", "said"),
    [
        ("env", "NOBODY", "NOBODY is not set"),
        ("env", "WORDS", "WORDS holds no URL"),
        ("env", "ODD", "slak:// is no scheme of apprise; did you mean slack"),
        ("url", "discrod://x/y", "did you mean discord"),
        ("command", "./nothere.sh", "./nothere.sh is not there"),
        ("command", "./plain.sh now", "./plain.sh is not executable: chmod +x ./plain.sh"),
        ("command", ".", ""),
        ("command", "./", "./ is a folder"),
        ("command", "no-such-program --now", "no-such-program is not on the PATH"),
        ("command", "X=1 exec ./nothere.sh", "./nothere.sh is not there"),
        ("command", "echo hi | ./nothere.sh", "./nothere.sh is not there"),
        ("command", "if true; then ./nothere.sh; fi", "./nothere.sh is not there"),
        ("command", "python3 nothere.py", "nothere.py is not there"),
        ("command", "bash 'not there.sh'", "not there.sh is not there"),
    ],
)
def test_what_is_wrong_is_told_with_the_move(root: str, kind: str, target: str, said: str) -> None:
    told = trouble(Notifier(kind, target), root=root, environ=ENVIRON)
    assert said in told if said else not told
    assert "tok3nABC" not in told


@pytest.mark.parametrize(
    "command",
    [
        *(
            "./tell.sh",
            "bash plain.sh",
            "sh -c './x'",
            '"$TELLER" now',
            "echo hi >&2",
            "env | sort",
            "test -e x && true",
        ),
        *("tell() { true; }; tell", "bash -s <plain.sh", "[ -n $X ] || exit 0", "cat <<X\nhi\nX", "broken ( quotes '"),
    ],
)
def test_what_may_work_is_left_alone(root: str, command: str) -> None:
    assert trouble(Notifier("command", command), root=root, environ=ENVIRON) == ""


def test_a_variable_that_a_command_is_to_be_given_must_be_set(root: str) -> None:
    one = Notifier("command", "./tell.sh", env=("HF_TOKEN",))
    assert trouble(one, root=root, environ=ENVIRON).startswith("HF_TOKEN is not set")
    assert written_trouble(one, root=root, environ=ENVIRON) == ""


def test_the_schemes_are_those_of_apprise() -> None:
    done = subprocess.run([sys.executable, "-c", ASKS], capture_output=True, text=True, timeout=300, check=False)
    if "No module named 'apprise'" in done.stderr:
        pytest.skip("apprise is not installed")
    assert set(done.stdout.split()) - SCHEMES == set()
    assert done.returncode == 0
