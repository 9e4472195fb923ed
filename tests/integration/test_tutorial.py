"""The tutorial does what it says: its commands run as they stand, and the recording shows them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORD, CAST = ROOT / "docs/tutorial/record.py", ROOT / "docs/tutorial/first-plan.cast"
COMMANDS = ("do-tasks init", "do-tasks validate", "do-tasks --continue", "do-tasks --step 2; echo $?", "do-tasks why 2")


def shown(cast: Path) -> str:
    head, *events = [json.loads(line) for line in cast.read_text(encoding="utf-8").splitlines()]
    assert head["version"] == 2
    times = [time for time, _, _ in events]
    assert times == sorted(times)
    return re.sub(r"\x1b\[[0-9;]*m", "", "".join(text for _, _, text in events))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> str:
    """What the page shows when it is run now."""
    folder = tmp_path_factory.mktemp("cast")
    program = folder / "do-tasks"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m executor "$@"\n')
    program.chmod(0o755)
    path = f"{folder}:/usr/local/bin:/usr/bin:/bin"
    environ = {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder), "TERM": "xterm", "LANG": "C.UTF-8"}
    done = subprocess.run(
        [sys.executable, RECORD, folder / "x.cast"],
        env=environ,
        timeout=300,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return shown(folder / "x.cast")


def test_the_page_ends_in_a_ticked_plan(fresh):
    assert len(re.findall(r"^- \[x\] \*\*STEP \d\*\*.* ✓ \[task_id: task_\d_[0-9a-f]{8}\]", fresh, re.MULTILINE)) == 2


def test_the_broken_check_fails_and_main_is_not_repeated(fresh):
    broken, mended = fresh.split("-eq 5/-eq 4", 1)
    assert "✗ four" in broken
    assert "not repeated: it exited 0" in mended


@pytest.mark.parametrize("command", COMMANDS)
def test_the_recording_that_ships_shows_the_same_commands(fresh, command):
    assert f"$ {command}\r\n" in fresh
    assert f"$ {command}\r\n" in shown(CAST)
