"""Holds what a decision costs: the fingerprint of MAIN is made at most once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

from executor.engine.decide import decide
from executor.engine.step_facts import view_of
from executor.store import log_reader, project
from executor.store.project_view import ProjectView
from executor.store.sources import Sources

DEFINITIONS = """\
settings: {on_change: reopen}
step_1_hello:
  main: {script: hello.py, test: none}
"""


class CountingSources(Sources):
    """Files whose digests are counted by path."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def digest(self, path):
        self.counts[os.path.basename(path)] += 1
        return super().digest(path)


def view_with_counts(root):
    here = project.find(str(root))
    plan, _ = project.load(here)
    view = ProjectView(here, plan, log_reader.recall(here.root))
    view.sources = CountingSources()
    return view


def test_a_step_that_changed_is_fingerprinted_once_a_decision(tmp_path):
    (tmp_path / "SPEC.md").write_text("- [ ] **STEP 1**: Say hello\n", encoding="utf-8")
    (tmp_path / "step_definitions.yaml").write_text(DEFINITIONS, encoding="utf-8")
    script = tmp_path / "hello.py"
    script.write_text("print('hello')\n", encoding="utf-8")
    words = [sys.executable, "-m", "executor", "--project", str(tmp_path), "--step", "1"]
    subprocess.run(words, check=True, capture_output=True, timeout=300)
    script.write_text("print('hello again')\n", encoding="utf-8")
    view = view_with_counts(tmp_path)
    decision = decide(view_of(view, 1, reopen_stale=True))
    assert (decision.action, "script" in decision.why) == ("run", True)
    assert view.sources.counts["hello.py"] == 1
