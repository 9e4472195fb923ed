"""What is done to a training from outside: to its processes, its records, its files, its clock, its disk."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from tests.trainings.scene import HERE, kill, lives

LIMIT_S = 600
TMPFS_MIB = 16


def note(scene, name):
    """Say that a fault begins, as the training does of its own."""
    line = {"fault": name, "step": scene.steps_done(), "at": time.monotonic(), "wall": time.time()}
    with (scene.root / "faults.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def freeze(scene):
    """Stop the training's process until the alert is there, then let it go on."""
    note(scene, "freeze")
    kill(scene.trainer(), signal.SIGSTOP)
    scene.hold_until(scene.keys, "an alert", LIMIT_S)
    kill(scene.trainer(), signal.SIGCONT)


def kill_training(scene):
    note(scene, "kill")
    kill(scene.trainer())


def kill_all(scene):
    """Kill the training and the launcher that would have kept its exit code."""
    note(scene, "kill all")
    kill(launcher(scene))
    kill(scene.trainer())


def launcher(scene):
    return json.loads(scene.record("started.json").read_text())["pid"]


def kill_unseen(scene):
    """Kill everything of the job while nobody watches."""
    scene.hold_until(scene.supervisor, "a supervisor", LIMIT_S)
    kill(scene.supervisor())
    kill(launcher(scene))
    kill(scene.trainer())
    scene.hold_until(lambda: not lives(launcher(scene)) and not lives(scene.trainer()), "their end", LIMIT_S)


def give_pid_away(scene):
    """Let the job's pid belong to somebody else, who must not be taken for it, nor be ended for it."""
    kill_unseen(scene)
    other = subprocess.Popen(["sleep", "600"], cwd="/")
    try:
        rewrite_identity(scene, pid=other.pid)
        note(scene, "reused pid")
        scene.run("--monitor")
        scene.ended(LIMIT_S)
        assert other.poll() is None, "a process that is not of the job was ended"
    finally:
        other.kill()
        other.wait()


def reboot(scene):
    """Let the record be of another boot."""
    kill_unseen(scene)
    rewrite_identity(scene, boot="00000000-0000-0000-0000-000000000000")
    note(scene, "reboot")
    scene.run("--monitor")


def rewrite_identity(scene, **changes):
    path = scene.record("started.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def date_files(hours):
    """Date every file of the training some hours off, as after a jump of the clock."""

    def jump(scene):
        note(scene, "clock")
        for path in [*scene.root.glob("training_logs/*"), *scene.root.glob("checkpoints/*.pt")]:
            there = path.stat().st_mtime + hours * 3600
            os.utime(path, (there, there))

    return jump


def set_wall_clock(seconds):
    """Let executor, supervisor and training see another wall clock from here on."""

    def jump(scene):
        note(scene, "wall clock")
        scene.write("clock_off", f"{seconds}\n")

    return jump


def harry(scene):
    """Kill the supervisor at one instant after another, until there is nothing left to supervise."""
    seed = random.SystemRandom().getrandbits(32)
    chance = random.Random(seed)
    while not scene.end():
        time.sleep(chance.uniform(0.0, 2.0))
        pid = scene.supervisor()
        if pid:
            kill(pid)
        scene.run("--monitor")
    runs = [(run["run"].partition("/")[2], run["after"]) for run in scene.runs()]
    assert runs == [("main.1", 0), ("main.2", 60)], f"seed {seed}\n{scene.told()}"


# What has to be there before


def no_tmpfs():
    return "" if os.geteuid() == 0 else "a small file system is mounted by root only"


def no_compiler():
    return "" if shutil.which("cc") else "another wall clock needs a C compiler: apt-get install gcc"


def have_own_clock(scene):
    library = scene.root / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(HERE / "clock.c")], check=True)
    scene.environ = {"LD_PRELOAD": str(library), "CLOCK_OFF": str(scene.write("clock_off", "0\n"))}


def mount_small(scene):
    folder = scene.root / "checkpoints"
    folder.mkdir()
    size = f"size={TMPFS_MIB}m"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(folder)], capture_output=True, check=False)
    if done.returncode:
        raise UnmountableError(done.stderr.decode())


class UnmountableError(Exception):
    """No small file system can be had here."""


def unmount(scene):
    subprocess.run(["umount", "-l", str(scene.root / "checkpoints")], capture_output=True, check=False)


NEGLIGENT = """\
import subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, *sys.argv[1:]])
while True:
    time.sleep(1)
"""


def leave_unreaped(scene):
    """Put a parent between launcher and training that never asks how its child ended."""
    (scene.root / "negligent.py").write_text(NEGLIGENT)


SUBREAPER = """\
import ctypes, os, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
executor = subprocess.Popen(sys.argv[1:])
executor.wait()
open("executor_gone", "w").close()
time.sleep(600)
"""


def start_unreaped(scene):
    """Start the step below a process that inherits the launcher and never reaps it."""
    command = (sys.executable, "-c", SUBREAPER, sys.executable, "-m", "executor")
    scene.start("--step", "13", argv=command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    scene.hold_until(lambda: scene.has("executor_gone"), "the executor's end", LIMIT_S)
