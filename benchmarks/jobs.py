"""Measures what background jobs cost, then writes the page."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
if not __package__:
    sys.path[0] = str(ROOT)

from executor.monitoring.model import ProbeContext  # noqa: E402
from executor.monitoring.probes.registry import PROBES  # noqa: E402
from executor.store import log_reader, runs  # noqa: E402
from executor.store.events import JobStarted, SupervisorStarted, TaskStarted  # noqa: E402
from executor.store.log_writer import LogWriter  # noqa: E402
from executor.system import procfs  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = ROOT / "docs" / "reference" / "performance-jobs.md"
COMMANDS = [
    {"task": "loss", "command": "tail -n 1 loss.txt", "interval": 1, "alert_on": "error|failed|nan"},
    {"task": "checkpoints", "command": "ls -lht checkpoints/ | head -5", "interval": 1},
    {"task": "memory", "command": "ps aux | grep train_student | head -1", "interval": 1},
]
PROBED = [
    {"task": "loss", "metrics": "metrics.jsonl", "interval": 1, "rules": ["nan", "divergence", {"stall": "6x"}]},
    {"task": "saved", "checkpoints": "checkpoints/*", "interval": 1, "rules": [{"checkpoint_age": "1h"}]},
    {"task": "life", "process": True, "interval": 1, "rules": ["rss_growth"]},
]
TRAIN = 'for i in $(seq 900); do echo "{\\"step\\": $i, \\"loss\\": 1.$i}" >>metrics.jsonl; sleep 0.1; done'
LINE = b'{"step": 1234567, "loss": 1.2345678, "lr": 0.0003, "time": 1795343401.25}\n'
GOALS = {"cpu": 0.5, "wakes": 12.0, "mib": 28.0, "start": 150.0, "monitor": 3.0}


def environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DO_TASKS", "PYTHON"))}
    return {**kept, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


def do_tasks(folder: Path, *words: str) -> float:
    """Run a command line and return its seconds of wall time."""
    began = time.monotonic()
    argv = [sys.executable, "-m", "executor", *words]
    subprocess.run(argv, cwd=folder, env=environ(), check=True, stdout=subprocess.DEVNULL, timeout=60)
    return time.monotonic() - began


def plan(folder: Path, monitors: list[dict[str, object]]) -> Path:
    folder.mkdir()
    step = {"main": {"command": TRAIN, "test": "none", "mode": "background"}, "background": monitors}
    (folder / "step_definitions.yaml").write_text(json.dumps({"step_13_training": step}))
    (folder / "SPEC.md").write_text("- [ ] **STEP 13**: Train\n")
    (folder / "loss.txt").write_text("1 0.5\n")
    (folder / "checkpoints").mkdir()
    return folder


def job_of(folder: Path) -> str:
    [found] = (folder / ".do-tasks" / "jobs").glob("task_13_*")
    return found.name


def seen_of(pid: int) -> tuple[float, int]:
    """CPU seconds and times that all threads of a process were woken, so far."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    status = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    woken = sum(int(line.split()[1]) for text in status for line in text.splitlines() if line.startswith("voluntary"))
    cpu_s = sum(int(text.split()[0]) for text in threads) / 1e9
    return cpu_s or sum(map(int, ticks[11:13])) / os.sysconf("SC_CLK_TCK"), woken


def supervisor(folder: Path, monitors: list[dict[str, object]], seconds: float) -> dict[str, float]:
    """Watch a supervisor at work: percent of a core, wake-ups a second, peak of its memory."""
    plan(folder, monitors)
    do_tasks(folder, "--step", "13")
    task_id = job_of(folder)
    pid = int(runs.supervisor(str(folder), task_id))
    time.sleep(6)
    before, began = seen_of(pid), time.monotonic()
    time.sleep(seconds)
    after, lasted = seen_of(pid), time.monotonic() - began
    peak = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    do_tasks(folder, "stop", task_id)
    return {
        "cpu": 100 * (after[0] - before[0]) / lasted,
        "wakes": (after[1] - before[1]) / lasted,
        "mib": int(peak.split()[1]) / 1024,
    }


def start(folder: Path) -> float:
    """Milliseconds from the command line to started.json, the executor's own start in them."""
    plan(folder, COMMANDS)
    do_tasks(folder, "--dry-run")
    do_tasks(folder, "validate")
    began_ns = time.time_ns()
    do_tasks(folder, "--step", "13")
    task_id = job_of(folder)
    took_ms = (runs.began_ns(runs.run_folder(str(folder), task_id, "main.1")) - began_ns) / 1e6
    do_tasks(folder, "stop", task_id)
    return took_ms


def fifty(folder: Path) -> Path:
    """Make fifty jobs that live, by their records, with a log of 1 GiB whose fold is cached."""
    folder.mkdir()
    (folder / "step_definitions.yaml").write_text('step_1_a: {main: {command: "true", test: none}}\n')
    (folder / "SPEC.md").write_text("- [ ] **STEP 1**: One\n")
    log = folder / ".task_execution.log"
    journal = LogWriter(str(log))
    identity = procfs.identify(os.getpid())
    if identity is None:
        raise SystemExit("jobs: this platform does not tell who we are")
    for step in range(1, 51):
        task_id = f"task_{step}_0000000a"
        run = runs.new_run(str(folder), task_id, "main.1")
        runs.write_job(str(folder), task_id, {"task_id": task_id, "step": step, "title": f"Job {step}"})
        runs.write_started(run, identity, command="train", digest="d")
        runs.write_watch(str(folder), task_id, watch_of(step, task_id))
        os.truncate(os.open(f"{run}/stdout.log", os.O_CREAT | os.O_WRONLY), 20 << 20)
        for event in (TaskStarted(title="T"), SupervisorStarted(run="main.1"), JobStarted(run="main.1")):
            journal.write(event, task_id=task_id, step=step)
    recalled = log_reader.recall(str(folder))
    with log.open("r+b") as file:
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
    log_reader.save(str(folder), recalled.replace(offset=log.stat().st_size))
    return folder


def watch_of(step: int, task_id: str) -> dict[str, object]:
    now = time.monotonic()
    who = {"v": 1, "task_id": task_id, "step": step, "title": f"Job {step}", "run": "main.1", "state": "running"}
    when = {"boot": procfs.boot_id(), "written_s": now, "began_s": now, "written": "", "began": ""}
    seen = {"metrics": {"loss": 0.5}, "checkpoints": None, "alerts": [], "monitors": []}
    progress = {"done": 1.0, "total": 2.0, "changed_s": now, "changed": "", "eta_s": 1.0, "basis": "", "source": ""}
    return {**who, **when, **seen, "reason": "", "pid": os.getpid(), "restarts": 0, "progress": progress}


def hold(folder: Path) -> None:
    """Hold the lock of each job, as its supervisor would, as long as we live."""
    for step in range(1, 51):
        lock = os.open(runs.job_lock(str(folder), f"task_{step}_0000000a"), os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def ratio(folder: Path, rounds: int) -> tuple[float, float, float]:
    """Median wall time of `--monitor --json` of fifty jobs, of `import yaml`, and their ratio, in one run."""
    hold(folder)
    ours, yaml = [], []
    for _ in range(rounds):
        ours.append(do_tasks(folder, "--monitor", "--json"))
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "import yaml"], env=environ(), check=True, timeout=60)
        yaml.append(time.monotonic() - began)
    return statistics.median(ours), statistics.median(yaml), statistics.median(ours) / statistics.median(yaml)


def rchar() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def gigabyte(folder: Path) -> dict[str, float]:
    """Bytes read, and microseconds, of looks at a metrics file of 1 GB: the first, then ten with 100 new lines."""
    folder.mkdir()
    path = folder / "metrics.jsonl"
    with path.open("wb") as file:
        for _ in range(10**9 // (len(LINE) * 10_000)):
            file.write(LINE * 10_000)
    memory: dict[str, object] = {}
    now = time.monotonic()
    place = ProbeContext(str(folder), str(folder), "", os.getpid(), now, now, 0)
    look: Callable[[], object] = lambda: PROBES["metrics"]("metrics.jsonl", memory, place)  # noqa: E731
    before = rchar()
    look()
    first = rchar() - before
    costs, sizes = [], []
    for _ in range(10):
        with path.open("ab") as file:
            file.write(LINE * 100)
        before, began = rchar(), time.perf_counter()
        look()
        costs.append(time.perf_counter() - began)
        sizes.append(rchar() - before)
    return {
        "first": first,
        "bytes": statistics.median(sizes),
        "new": len(LINE) * 100,
        "us": 1e6 * statistics.median(costs),
    }


def rows(found: dict[str, dict[str, float]], single: dict[str, float]) -> list[tuple[str, str, str]]:
    """Return (what, goal, found) for each line of the table."""
    one, two, gb = found["commands"], found["probes"], found["gigabyte"]
    told = [("three command monitors", one), ("three built-in probes, five rules", two)]
    cost = [
        row
        for what, seen in told
        for row in (
            (f"supervisor with {what} a second: of a core", f"{GOALS['cpu']} %", f"{seen['cpu']:.2f} %"),
            ("its wake-ups a second, all threads", f"{GOALS['wakes']:g}", f"{seen['wakes']:.1f}"),
            ("its memory at most", f"{GOALS['mib']:g} MiB", f"{seen['mib']:.1f} MiB"),
        )
    ]
    return [
        *cost,
        ("command line to `started.json`, no TEST", f"{GOALS['start']:g} ms", f"{single['start']:.0f} ms"),
        ("`--monitor` of 50 jobs, in `import yaml`", f"{GOALS['monitor']:g}", f"{single['ratio']:.2f}"),
        ("a look at a 1 GB metrics file: bytes read", f"{gb['new']:.0f} new", f"{gb['bytes']:.0f}"),
        ("the same: time", "", f"{gb['us']:.0f} µs"),
    ]


TEXT = """\
# What background jobs cost

Measured by `python benchmarks/jobs.py`, which writes this page: {cores} cores, Python {python}, Linux {kernel}.

| what | goal | found |
|---|---:|---:|
{rows}

The commands that monitors start are not in the supervisor's share; `ps aux` alone costs more than all of it. The time
to `started.json` holds the start of Python. The 50 jobs have a log of 1 GiB and 1 GB of output; `--monitor --json`
took {ours:.0f} ms, `python -c "import yaml"` {yaml:.0f} ms, medians of {rounds:.0f}, in turn. The first look at the
metrics file read {first:.1f} MB, its end.
"""


def page(found: dict[str, dict[str, float]], single: dict[str, float]) -> str:
    return TEXT.format(
        cores=os.cpu_count(),
        python=platform.python_version(),
        kernel=platform.release().split("-")[0],
        rows="\n".join(f"| {what} | {goal} | {seen} |" for what, goal, seen in rows(found, single)),
        first=found["gigabyte"]["first"] / 1e6,
        **single,
    )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each supervisor is watched")
    parser.add_argument("--rounds", type=int, default=21)
    chosen = parser.parse_args(argv)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="do-tasks-jobs-") as name:
        folder = Path(name)
        found = {
            "commands": supervisor(folder / "commands", COMMANDS, chosen.seconds),
            "probes": supervisor(folder / "probes", PROBED, chosen.seconds),
            "gigabyte": gigabyte(folder / "gigabyte"),
        }
        ours, yaml, share = ratio(fifty(folder / "fifty"), chosen.rounds)
        single = {"start": statistics.median([start(folder / f"start{at}") for at in range(5)]), "ratio": share}
        single |= {"ours": 1000 * ours, "yaml": 1000 * yaml, "rounds": chosen.rounds}
    text = page(found, single)
    print(text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
