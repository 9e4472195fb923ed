"""Places for probes to look at, and looks that follow each other."""

from __future__ import annotations

import json
import os

from executor.monitoring.model import ProbeContext
from executor.monitoring.probes.registry import PROBES


def place(root, *, now_s=100.0, began_s=90.0, began_ns=0, pid=0, token="task_1_aaaaaaaa/main.1", ended=False):
    return ProbeContext(
        root=str(root),
        folder=os.path.join(root, "run"),
        token=token,
        pid=pid or os.getpid(),
        now_s=now_s,
        began_s=began_s,
        began_ns=began_ns,
        ended=ended,
    )


class Looks:
    """One monitor's looks: what it remembers goes through JSON in between, as when its supervisor is replaced."""

    def __init__(self, kind, asks, root, **where):
        self.kind = kind
        self.asks = asks
        self.root = root
        self.where = {"now_s": 100.0, **where}
        self.memory = {}

    def look(self, *, after_s=1.0, **more):
        self.where["now_s"] += after_s
        reading = PROBES[self.kind](self.asks, self.memory, place(self.root, **self.where), **more)
        self.memory = json.loads(json.dumps(self.memory, allow_nan=False))
        return reading


def bytes_read():
    """How many bytes this process has read so far."""
    with open("/proc/self/io", encoding="ascii") as file:
        return int(file.readline().split()[1])
