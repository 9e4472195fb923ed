"""Lets a training meet with trouble for real: its weights, its data, its disk, its memory, its life."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

MIB = 1024**2
BLOWN_UP = 1e30
PARENTS = "import subprocess, time; subprocess.Popen(['sleep', '600'], start_new_session=True); time.sleep(600)"


class Fault:
    """One line NAME@STEP[:ARG] of the command line."""

    def __init__(self, text):
        self.name, _, where = text.partition("@")
        step, _, arg = where.partition(":")
        self.step, self.arg = int(step or 1), float(arg or 0)
        self.began = False


class Mishaps:
    """The faults asked for; each says in faults.jsonl when it began."""

    def __init__(self, faults, out, *, once):
        self.out = out
        met = met_before(out) if once else set()
        self.faults = [fault for fault in map(Fault, faults) if fault.name not in met]
        unknown = {fault.name for fault in self.faults} - {*ONCE, *EACH_STEP, *STANDING}
        if unknown:
            sys.exit(f"no such fault: {', '.join(unknown)}")
        self.hoard = []

    def before(self, step, model):
        """Do what is due before a step."""
        for fault in self.faults:
            if step < fault.step:
                continue
            first, fault.began = not fault.began, True
            if first:
                self.tell(fault, step)
            does = EACH_STEP.get(fault.name) or (ONCE.get(fault.name) if first else None)
            if does:
                does(self, fault.arg, model)

    def tell(self, fault, step):
        line = {"fault": fault.name, "step": step, "at": time.monotonic(), "wall": time.time()}
        with (self.out / "faults.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def standing(self, name):
        """Return the fault of this name that has begun, None before."""
        return next((fault for fault in self.faults if fault.name == name and fault.began), None)

    def lr(self, rate):
        if self.standing("plateau"):
            return 0.0
        fault = self.standing("divergence")
        return rate * fault.arg if fault else rate

    def pace(self, pace_s):
        fault = self.standing("slow")
        return pace_s * fault.arg if fault else pace_s

    def part(self, text):
        """Return the text to learn from: all of it, or so little that it is soon known by heart."""
        fault = self.standing("overfit")
        return text[: int(fault.arg)] if fault else text

    def clock(self):
        """Return the wall clock's time, which somebody may have set meanwhile."""
        fault = self.standing("clock")
        return time.time() + (fault.arg if fault else 0.0)

    def saves(self):
        return not self.standing("no_checkpoints")


def met_before(out):
    path = out / "faults.jsonl"
    return {json.loads(line)["fault"] for line in path.read_text().splitlines()} if path.exists() else set()


def blow_up(mishaps, arg, model):
    for parameter in model.parameters():
        parameter.data.mul_(BLOWN_UP)


def sleep(mishaps, arg, model):
    time.sleep(arg)


def die(mishaps, arg, model):
    os.kill(os.getpid(), 9)


def leave(mishaps, arg, model):
    sys.exit(int(arg or 3))


def have_children(mishaps, arg, model):
    """Leave children of every sort: in our group, in a session of their own, orphaned."""
    subprocess.Popen(["sleep", "600"])
    subprocess.Popen([sys.executable, "-c", PARENTS])
    subprocess.Popen([sys.executable, "-c", PARENTS], start_new_session=True)
    subprocess.run(["sh", "-c", "sleep 600 & (setsid sleep 600 &) ; (trap '' TERM; sleep 600) &"], check=True)


def leak(mishaps, arg, model):
    mishaps.hoard.append(b"x" * int(arg * MIB))


def fill_disk(mishaps, arg, model):
    """Write what nobody needs beside the checkpoints, MiB a step, until there is no room."""
    with (mishaps.out / "checkpoints" / "activations.bin").open("ab") as file:
        file.write(os.urandom(int(arg * MIB)))


ONCE = {"nan": blow_up, "sleep": sleep, "die": die, "exit": leave, "fork_grandchildren": have_children}
EACH_STEP = {"leak": leak, "enospc": fill_disk}
STANDING = {"divergence", "plateau", "slow", "overfit", "no_checkpoints", "clock"}
