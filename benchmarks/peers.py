"""The peers: how each is installed and told to do the same plan."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.measure import timed
from benchmarks.projects import Tool

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.projects import Load

PINNED = {"doit": "doit==0.37.0", "invoke": "invoke==3.0.3", "nox": "nox==2026.10.20"}

COMMANDS = """
STEPS, BEFORE, AFTER, CHECK, MARKS = {steps}, {before}, {after}, {check!r}, {marks}
def command(kind, step, number=0):
    if MARKS:
        return f"echo {{kind}}{{step}}_{{number}} >> marks"
    return CHECK if kind == "p" else "true"
"""

DODO = """
from doit.tools import run_once
DOIT_CONFIG = {"verbosity": 0}
def task(kind, step, number, after):
    name = f"{kind}{step}_{number}"
    return dict(name=name, actions=[command(kind, step, number)], task_dep=after, uptodate=[run_once])
def task_s():
    last = []
    for step in range(1, STEPS + 1):
        yield from (task("p", step, number, last) for number in range(BEFORE))
        yield task("m", step, 0, [f"s:p{step}_{number}" for number in range(BEFORE)] or last)
        yield from (task("q", step, number, [f"s:m{step}_0"]) for number in range(AFTER))
        last = [f"s:q{step}_{number}" for number in range(AFTER)] or [f"s:m{step}_0"]
"""

TASKS = """
from invoke import Collection, task
def together(run, commands):
    for started in [run(text, asynchronous=True, shell="/bin/sh") for text in commands]:
        started.join()
def one(run, step):
    together(run, [command("p", step, number) for number in range(BEFORE)])
    run(command("m", step), shell="/bin/sh", hide=True, in_stream=False)
    together(run, [command("q", step, number) for number in range(AFTER)])
def named(step):
    def body(c):
        one(c.run, step)
    body.__name__, body.__doc__ = f"s{step}", f"Do bench step {step}"
    return task(body)
@task
def everything(c):
    for step in range(1, STEPS + 1):
        one(c.run, step)
ns = Collection(everything)
for step in range(1, STEPS + 1):
    ns.add_task(named(step), name=f"s{step}")
"""

NOXFILE = """
import nox
def named(step):
    def body(session):
        for kind, count in (("p", BEFORE), ("m", 1), ("q", AFTER)):
            for number in range(count):
                session.run("sh", "-c", command(kind, step, number), external=True, silent=True)
    body.__name__ = f"s{step}"
    return nox.session(body, name=f"s{step}", venv_backend="none")
for step in range(1, STEPS + 1):
    named(step)
"""


class Generated(Tool):
    """A peer that is told its tasks by a Python file."""

    file = ""
    program = ""

    def write(self, folder: Path, load: Load) -> None:
        folder.mkdir(parents=True)
        told = COMMANDS.format(
            steps=load.steps, before=load.before, after=load.after, check=load.check, marks=load.marks
        )
        (folder / self.file).write_text(told + self.program)


class Doit(Generated):
    """Each command a task, ordered by task_dep, up to date once run."""

    name = "doit"
    leaves_out = "log, limits, TEST, syncs"
    file, program = "dodo.py", DODO

    def listing(self, load: Load) -> list[str]:  # noqa: ARG002
        return [self.executable, "list", "--all"]

    def run(self, load: Load) -> list[str]:
        return [self.executable, "run", *(("-n", "3", "-P", "thread") if load.before else ())]

    def forget(self, folder: Path) -> None:
        for path in folder.glob(".doit*"):
            path.unlink()

    def remember(self, folder: Path, load: Load) -> None:
        timed([self.executable, "run", f"s:m{load.steps - 1}_0"], folder)
        (folder / "kept").mkdir()
        for path in folder.glob(".doit*"):
            shutil.copyfile(path, folder / "kept" / path.name)

    def rewind(self, folder: Path, load: Load) -> None:  # noqa: ARG002
        self.forget(folder)
        for path in (folder / "kept").iterdir():
            shutil.copyfile(path, folder / path.name)


class Invoke(Generated):
    """One task a step; checks by asynchronous runs that are joined."""

    name = "invoke"
    leaves_out = "state (resume names the last step), log, limits, TEST, syncs"
    file, program = "tasks.py", TASKS

    def listing(self, load: Load) -> list[str]:  # noqa: ARG002
        return [self.executable, "--list"]

    def run(self, load: Load) -> list[str]:  # noqa: ARG002
        return [self.executable, "everything"]

    def resume(self, load: Load) -> list[str]:
        return [self.executable, f"s{load.steps}"]


class Nox(Generated):
    """One session a step, without a virtual environment."""

    name = "nox"
    leaves_out = "checks side by side (one after another), state (resume names the last step), log, limits, TEST, syncs"
    file, program = "noxfile.py", NOXFILE
    slow = True

    def listing(self, load: Load) -> list[str]:  # noqa: ARG002
        return [self.executable, "--list"]

    def run(self, load: Load) -> list[str]:  # noqa: ARG002
        return [self.executable]

    def resume(self, load: Load) -> list[str]:
        return [self.executable, "-s", f"s{load.steps}"]


class Make(Tool):
    """A stamp file per command, `-j3`."""

    name = "make"
    leaves_out = "log, limits, output capture, TEST, syncs"

    def write(self, folder: Path, load: Load) -> None:
        (folder / "st").mkdir(parents=True)
        rules: list[str] = []
        last = ""
        for step in range(1, load.steps + 1):
            before = _stamps("p", step, load.before)
            after = _stamps("q", step, load.after)
            rules += [self._rule(load, "p", step, number, last) for number in range(load.before)]
            rules.append(self._rule(load, "m", step, 0, before or last))
            rules += [self._rule(load, "q", step, number, f"st/m{step}_0") for number in range(load.after)]
            last = after or f"st/m{step}_0"
        (folder / "Makefile").write_text(f".PHONY: all\nall: {last}\n" + "".join(rules))

    def listing(self, load: Load) -> list[str]:  # noqa: ARG002
        return [self.executable, "-n", "all"]

    def run(self, load: Load) -> list[str]:  # noqa: ARG002
        return [self.executable, "-j3", "all"]

    def forget(self, folder: Path) -> None:
        for path in (folder / "st").iterdir():
            path.unlink()

    def remember(self, folder: Path, load: Load) -> None:
        timed([self.executable, "-j3", f"st/m{load.steps - 1}_0"], folder)

    def rewind(self, folder: Path, load: Load) -> None:
        (folder / "st" / f"m{load.steps}_0").unlink(missing_ok=True)

    @staticmethod
    def _rule(load: Load, kind: str, step: int, number: int, needs: str) -> str:
        return f"st/{kind}{step}_{number}: {needs}\n\t@{load.command(kind, step, number)}; : > $@\n"


def _stamps(kind: str, step: int, count: int) -> str:
    return " ".join(f"st/{kind}{step}_{number}" for number in range(count))


PEERS: tuple[type[Tool], ...] = (Doit, Invoke, Nox, Make)


def found(folder: Path) -> tuple[list[Tool], list[str]]:
    """Install what is missing under `folder`, an environment each; return the peers and what could not be had."""
    tools: list[Tool] = []
    notes: list[str] = []
    for kind in PEERS:
        executable = _installed(folder, kind.name) if kind.name in PINNED else shutil.which(kind.name)
        if executable:
            tools.append(kind(executable))
        else:
            notes.append(f"{kind.name} is left out: it could not be installed")
    return tools, notes


def _installed(folder: Path, name: str) -> str | None:
    executable = folder / name / "bin" / name
    if not executable.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n")
        subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=False)
        pip = [str(folder / name / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", PINNED[name]]
        subprocess.run(pip, check=False)
    return str(executable) if executable.exists() else None
