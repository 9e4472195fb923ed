"""What may befall a training: how it is brought about, who must notice, how the step ends."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.trainings import injuries
from tests.trainings.injuries import LIMIT_S, TMPFS_MIB
from tests.trainings.scene import Scene, wall_s

if TYPE_CHECKING:
    from collections.abc import Callable

# As long a run as fits a test: rules look at seconds and at tens of steps, where days have minutes and thousands.
PACE = ("--steps", "260", "--pace", "0.1", "--save-every", "30", "--eval-every", "40", "--eval-batches", "8")
RULES = {
    "loss": {
        "metrics": "training_logs/metrics.jsonl",
        "rules": [
            "nan",
            "divergence",
            {"plateau": {"patience": 100, "warmup": 40}},
            {"stall": {"times": "6x", "floor": "4s", "warmup": "20s"}},
            {"overfit": {"patience": 3}},
            {"throughput_drop": {"window": "3s"}},
        ],
    },
    "saved": {
        "checkpoints": "checkpoints/step_*.pt",
        "rules": [{"checkpoint_age": {"times": "4x", "floor": "8s", "warmup": "30s"}}],
    },
    "room": {
        "disk": "checkpoints",
        "rules": [{"disk_hours_left": {"limit": "15s", "floor": "500kB", "window": "8s"}}],
    },
    "life": {"process": True, "rules": [{"rss_growth": {"warmup": "10s", "window": "6s"}}]},
}


# What a rule is given where the row is about another: nearly its defaults, which no slow machine brings about.
LOOSE = {
    "stall": "6x",
    "throughput_drop": "50%",
    "checkpoint_age": "3x",
    "disk_hours_left": {"limit": "1s", "floor": "500kB", "window": "8s"},
}
EVERY = "every"  # a key for which all rules are as tight as the rows need


def monitors(actions, key=""):
    """Return monitors with every rule there is, those that judge by time loose unless the row waits for their `key`.

    `actions` says what an alert of one of them does.
    """
    return [
        {"task": name, "interval": 0.5, **body, "rules": [fitted(rule, name, key) for rule in body["rules"]]}
        | {"on_alert": actions.get(name, "notify")}
        for name, body in RULES.items()
    ]


def fitted(rule, name, key):
    kind = rule if isinstance(rule, str) else next(iter(rule))
    return {kind: LOOSE[kind]} if kind in LOOSE and key not in (EVERY, f"{name}/{kind}") else rule


def nothing(scene):
    """Leave it as it is."""


def start_step(scene):
    scene.run("--step", "13")


@dataclass(frozen=True)
class Fault:
    """A row: `training` is its --fault, `outside` is done to it at a step; `key` is the one alert that must be raised.

    `ends` is the verdict, `reason` a pattern of what the log gives for it.
    """

    name: str
    how: str
    training: str = ""
    outside: Callable[[Scene], None] | None = None
    at: int = 60
    key: str = ""
    ends: str = "passed"
    reason: str = ""
    args: tuple[str, ...] = ()
    actions: dict[str, object] = field(default_factory=dict)
    needs: Callable[[], str] = str
    set_up: Callable[[Scene], None] = nothing
    tear_down: Callable[[Scene], None] = nothing
    start: Callable[[Scene], None] = start_step
    main: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What became of a row: seconds from the injection to the alert, or to the verdict where no alert is due."""

    keys: list[str]
    verdict: str
    reason: str
    after_s: float | None
    box: str
    log: str


def play(fault, root):
    """Let a training meet with a fault, watched by every rule, and tell what was noticed."""
    scene = Scene(root)
    injected = ("--fault", fault.training) if fault.training else ()
    scene.define(*PACE, *fault.args, *injected, background=monitors(fault.actions, fault.key), **fault.main)
    fault.set_up(scene)
    try:
        fault.start(scene)
        if fault.outside:
            scene.hold_until(lambda: scene.steps_done() >= fault.at, f"step {fault.at}", LIMIT_S)
            fault.outside(scene)
        return found_in(scene, fault)
    finally:
        scene.close()
        fault.tear_down(scene)


def found_in(scene, fault):
    end = scene.ended(LIMIT_S)
    return Found(
        keys=scene.keys(),
        verdict=end["status"],
        reason=end.get("reason", ""),
        after_s=after_s(scene, fault),
        box=scene.box(),
        log=scene.told(),
    )


def after_s(scene, fault):
    """Return the seconds from the injection to the line that must follow it, None for a fault that none follows."""
    told = scene.records("faults.jsonl")
    seen = scene.events("AlertRaised", key=fault.key) if fault.key else [scene.end()] * (fault.ends != "passed")
    return round(wall_s(seen[0]) - told[0]["wall"], 2) if told and seen else None


def hold(fault, found):
    """Assert that a row came out as it must."""
    assert found.keys == ([fault.key] if fault.key else []), found.log
    assert found.verdict == fault.ends, found.log
    assert re.search(fault.reason, found.reason), found.reason
    assert ("- [x]" in found.box) == (fault.ends == "passed"), found.box


STOP = {"stop": {"grace": 5}}
RESTART = {"restart": {"from": "latest_checkpoint", "attempts": 2, "backoff": 1, "grace": 5}}
FAULTS = [
    Fault(
        "NaN loss", "weights multiplied by 1e30", "nan@80",
        key="loss/nan", actions={"loss": STOP}, ends="failed", reason="loss/nan",
    ),
    Fault(
        "divergence", "learning rate times 1000", "divergence@80:1000",
        key="loss/divergence", actions={"loss": STOP}, ends="failed", reason="loss/divergence",
    ),
    Fault("plateau", "learning rate 0", "plateau@60", key="loss/plateau"),
    Fault(
        "overfitting", "only 400 characters to learn from", "overfit@60:400",
        key="loss/overfit", args=("--lr", "0.003", "--eval-every", "20"),
    ),
    Fault("slow loader", "the loader sleeps 10 s, once", "sleep@80:10", key="loss/stall"),
    Fault(
        "slow batches", "each batch takes 8 x longer", "slow@220:8",
        key="loss/throughput_drop", args=("--steps", "270"),
    ),
    Fault("no checkpoints", "none is saved any more", "no_checkpoints@70", key="saved/checkpoint_age"),
    Fault("leak", "3 MiB more memory a step", "leak@80:3", key="life/rss_growth"),
    Fault(
        "full disk", f"a file grows beside the checkpoints, {TMPFS_MIB} MiB in all", "enospc@60:0.1",
        key="room/disk_hours_left", ends="failed", reason="exit 1",
        needs=injuries.no_tmpfs, set_up=injuries.mount_small, tear_down=injuries.unmount,
    ),
    Fault(
        "kill -9", "the training's process",
        outside=injuries.kill_training, ends="failed", reason=r"died: exit 137 after step \d+",
    ),
    Fault("kill -9 of all", "the training and its launcher", outside=injuries.kill_all, ends="lost", reason=""),
    Fault("own exit", "the training exits 3", "exit@60:3", ends="failed", reason=r"died: exit 3 after step \d+"),
    Fault("kill -STOP", "the training, until the alert", outside=injuries.freeze, key="loss/stall"),
    Fault(
        "zombie training", "killed below a parent that never reaps it", outside=injuries.kill_training,
        key="loss/stall", actions={"loss": STOP}, ends="failed", reason="loss/stall",
        set_up=injuries.leave_unreaped, main={"command": f"{sys.executable} negligent.py train.py"},
    ),
    Fault(
        "zombie job", "launcher and training killed, nobody reaps the launcher", outside=injuries.kill_all,
        start=injuries.start_unreaped, ends="lost",
    ),
    Fault(
        "reused pid", "the job's pid is somebody else's (record rewritten)",
        outside=injuries.give_pid_away, ends="lost",
    ),
    Fault("reboot", "the record is of another boot (rewritten)", outside=injuries.reboot, ends="lost"),
    Fault(
        "clock set 3 h ahead", "for executor, supervisor, training", outside=injuries.set_wall_clock(10800),
        needs=injuries.no_compiler, set_up=injuries.have_own_clock,
    ),
    Fault(
        "clock set 5 h back", "for executor, supervisor, training", outside=injuries.set_wall_clock(-18000),
        needs=injuries.no_compiler, set_up=injuries.have_own_clock,
    ),
    Fault("times 3 h ahead", "times in the metrics jump", "clock@60:10800"),
    Fault("times 3 h back", "times in the metrics jump", "clock@60:-10800"),
    Fault("files 3 h ahead", "metrics and checkpoints dated later", outside=injuries.date_files(3)),
    Fault("files 3 h back", "metrics and checkpoints dated earlier", outside=injuries.date_files(-3)),
    Fault(
        "supervisor killed", "again and again, while a NaN restarts the training", "nan@75",
        outside=injuries.harry, at=20, key="loss/nan", actions={"loss": RESTART}, args=("--fault-once",),
    ),
]  # fmt: skip


def healthy(seed):
    """Return a run with its own warm-up, evaluation and checkpoint pauses."""
    pauses = ("--start-pause", f"{seed % 4}", "--save-pause", f"{0.2 * (seed % 6):.1f}")
    evaluation = ("--eval-batches", f"{4 + 2 * (seed % 5)}", "--eval-every", f"{25 + 5 * (seed % 4)}")
    warmup = ("--warmup", f"{10 * (1 + seed % 4)}", "--save-every", f"{20 + 7 * (seed % 3)}")
    return Fault(f"healthy {seed}", "nothing", args=("--seed", f"{seed}", *warmup, *evaluation, *pauses))
