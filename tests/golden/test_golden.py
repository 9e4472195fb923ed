"""Holds whole runs to their transcript, SPEC.md and log: `pytest tests/golden --update-golden` writes them anew."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CASES = sorted(path.parent for path in HERE.glob("cases/*/cmd"))
EXPECTED = {"transcript.txt": "transcript", "SPEC.md": "spec", "log.jsonl": "log"}
ANYWHERE = (
    (r"Traceback \(most recent call last\):(?:\n|\\n)(?:  .*?(?:\n|\\n))*", "<TRACEBACK>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(?=\])", "<TIME>"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<TIME>"),
    (r'"(duration_s|wait_s)": [\d.]+', r'"\1": "<S>"'),
    (r'"pid": [1-9]\d*', '"pid": "<PID>"'),
    (r'"environment": "\w+", "distributions": \d+', '"environment": "<ENVIRONMENT>"'),
    (r'"pids": \[[\d, ]+\]', '"pids": ["<PID>"]'),
    (r"(?<=running: )\[[\d, ]+\]|(?<=pid )\d+", "<PID>"),
    (r'(?<="before": ")[0-9a-f]{8}|(?<="after": ")[0-9a-f]{8}', "<LINE>"),
    (r'(?<="record": ")[0-9a-f]{32}', "<RECORD>"),
    (r"older by [\d.]+ s", "older by <S> s"),
    (r"[\d.]+ s old", "<S> s old"),
    (r"\b\d+\.\ds\b", "<S>s"),
    (r"(?<=  ) +<S>s", "<S>s"),
)


class Run:
    """A case in a folder of its own, with `do-tasks` on its PATH."""

    def __init__(self, case: Path, folder: Path) -> None:
        self.root = folder / "project"
        self.case = case
        shutil.copytree(case / "plan", self.root)
        self.bin = folder / "bin"
        self.bin.mkdir()
        do_tasks = self.bin / "do-tasks"
        do_tasks.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m executor "$@"\n')
        do_tasks.chmod(0o755)
        self.transcript = "".join(map(self.typed, (case / "cmd").read_text(encoding="utf-8").splitlines()))

    def typed(self, line: str) -> str:
        """One line of `cmd` as a person sees it: what was typed, what came, how it ended."""
        done = subprocess.run(
            ["/bin/bash", "-c", line],
            cwd=self.root,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        ending = f"[exit {done.returncode}]\n" if line.startswith("do-tasks") else ""
        return f"$ {line}\n{done.stdout}{ending}\n"

    def environ(self) -> dict[str, str]:
        return {
            "HOME": str(self.root.parent),
            "USER": "ann",
            "LC_ALL": "C.UTF-8",
            "PATH": os.pathsep.join((str(self.bin), os.path.dirname(sys.executable), os.defpath)),
            "PYTHONPATH": os.pathsep.join((str(self.root), str(REPOSITORY))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TINKER_API_KEY": "tml-golden-4f9a27c1d8",
        }

    def found(self) -> dict[str, str]:
        logs = sorted(self.root.glob(".task_execution.log*"), reverse=True)
        lines = "".join(log.read_text(encoding="utf-8") for log in logs)
        spec = (self.root / "SPEC.md").read_text(encoding="utf-8")
        return normalised({"log": lines, "spec": spec, "transcript": self.transcript}, str(self.root))


def normalised(texts: dict[str, str], root: str) -> dict[str, str]:
    """The texts without what another run, machine or interpreter makes different; ids keep who is who."""
    names = ids(texts["log"])
    version = sys.version.replace("\n", " ")
    for key, text in texts.items():
        for found, name in names.items():
            text = text.replace(found, name)  # noqa: PLW2901 - each replacement goes on from the one before
        for found, name in ((root, "<ROOT>"), (sys.executable, "<PYTHON>"), (json.dumps(version)[1:-1], "<VERSION>")):
            text = text.replace(found, name)  # noqa: PLW2901
        for pattern, name in ANYWHERE:
            text = re.sub(pattern, name, text)  # noqa: PLW2901
        texts[key] = text
    return texts


def ids(log: str) -> dict[str, str]:
    """Task ids and digests by their order in the log: task_1_<ID>, then task_1_<ID-2>."""
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for found in re.finditer(r'task_\d+_(?=[0-9a-f]{8})|(?<="digest": ")(?=[0-9a-f]{32})', log):
        kind = found[0]
        size = 8 if kind else 32
        whole = log[found.start() : found.end() + size]
        if whole not in names:
            counts[kind] = counts.get(kind, 0) + 1
            number = f"-{counts[kind]}" if counts[kind] > 1 else ""
            names[whole] = f"{kind}<ID{number}>" if kind else f"<DIGEST{number}>"
    return names


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_run_says_what_it_said(case, tmp_path, request):
    found = Run(case, tmp_path).found()
    for file, key in EXPECTED.items():
        golden = case / file
        if request.config.getoption("--update-golden", default=False):
            golden.write_text(found[key], encoding="utf-8")
        assert found[key] == golden.read_text(encoding="utf-8"), f"{case.name}/{file}"
