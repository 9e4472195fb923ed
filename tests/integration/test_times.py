"""Times and sizes with units, through validate and a run."""

import subprocess
import sys

PLAN = """
settings: {version: 1, limits: {stall: 2m, seconds: 1h30m}}
step_1_a:
  pre_flight: [{task: room, disk_free: 1MB, timeout: 10s}]
  main: {command: echo hi, timeout: 10m, test: {command: echo, timeout: 1m}}
step_2_b:
  main: {command: sleep 1, mode: background, timeout: 1m}
  background: [{task: c, checkpoints: {path: "ck*", min_bytes: 1KB}, interval: 30s, grace: 1h30m}]
"""


def test_a_plan_with_units_is_valid_and_runs(tmp_path):
    (tmp_path / "step_definitions.yaml").write_text(PLAN)
    (tmp_path / "SPEC.md").write_text("# T\n")
    for words in (["validate"], ["--step", "1", "--append", "--wait", "1m"]):
        done = subprocess.run(
            [sys.executable, "-m", "executor", *words],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
