"""The parsed plan as frozen values: what step_definitions.yaml says, with the defaults filled in."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

CHECK_LIMIT_S = 30.0
TEST_LIMIT_S = 60.0
MAIN_LIMIT_S = 3600.0
GIB = 1024**3
NOTICES = ("alert", "recovered", "blind", "finished", "died")


class Check(Record):
    """One time-boxed question in PRE-FLIGHT or POST.

    `kind` is a row of `checks.CHECKS` (command, env_set, python_import, file, disk_free, gpu_free, port, url, call)
    or `prose` for a loose item that cannot run; `asks` is the value written under that key in the YAML.
    `limit_s` is already capped at CHECK_LIMIT_S. `env` names the secrets that it is given where it is contained, and
    `network` whether it has one there.
    """

    name: str
    kind: str
    asks: Any
    limit_s: float = CHECK_LIMIT_S
    parallel: bool = True
    when: str = "end"
    env: tuple[str, ...] = ()
    network: bool = False


class Criterion(Record):
    """One success criterion; `kind` is prose, or file, command, matches, metric, result when bound to a check.

    `at` is start when a job must meet it to count as started, end when not; empty when neither is written.
    `env` and `network` are as those of a check.
    """

    text: str
    kind: str = "prose"
    asks: Any = None
    any_age: bool = False
    at: str = ""
    env: tuple[str, ...] = ()
    network: bool = False


class TestForm(Record):
    """The test form of MAIN: `form` is default (script + --test), args, command or none."""

    form: str = "default"
    args: tuple[str, ...] = ()
    command: str = ""
    limit_s: float = TEST_LIMIT_S


class Retry(Record):
    """How often MAIN is tried, and after which classes: timeout, oom, rate_limit, any, exit:N."""

    attempts: int = 1
    on: tuple[str, ...] = ("any",)


class Main(Record):
    """What a step does. `limit_s` is per attempt, seconds; `env` names secrets for an agent's shell.

    `chunks` are their sizes, `rows` is the JSON Lines file of each, {chunk} being its number.
    `inputs` and `outputs` are globs of what MAIN reads and of what it leaves, `env_file` files that set variables.
    `judge`, `sandbox` and `limits` are as written; `bounds` reads them, with those of the settings.
    """

    script: str = ""
    command: str = ""
    args: tuple[str, ...] = ()
    objective: str = ""
    agent: str = ""
    skills: tuple[str, ...] | None = None
    runner: str = ""
    mode: str = "normal"
    limit_s: float = MAIN_LIMIT_S
    sample: TestForm = TestForm()
    retry: Retry = Retry()
    criteria: tuple[Criterion, ...] = ()
    on_lost: str = "rerun"
    max_output: int = GIB
    chunks: tuple[int, ...] = ()
    rows: str = ""
    checkpoint_every: int = 0
    quality_check: tuple[Check, ...] = ()
    model: str = ""
    env: tuple[str, ...] = ()
    judge: Any = None
    sandbox: Any = None
    limits: Any = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    env_file: tuple[str, ...] = ()


class Action(Record):
    """What an alert does beside being told: `kind` is notify (nothing more), stop, restart, command or block.

    `attempts` and `backoff_s` bound restarts (the wait doubles each time); `grace_s` lies between TERM and KILL.
    """

    kind: str = "notify"
    command: str = ""
    attempts: int = 2
    backoff_s: float = 30.0
    grace_s: float = 10.0


class Rule(Record):
    """A condition over what a monitor sees: `kind` is a row of `rules.RULES`, `args` are complete and in base units."""

    kind: str
    args: Mapping[str, Any]


class Monitor(Record):
    """A probe on a schedule, with rules over what it sees.

    `kind` is command, check (alerts when it fails twice in a row), alert (alerts on exit 0 with output), or a row of
    `probes.PROBES` (metrics, checkpoints, progress, process, log, disk, memory, gpu); `asks` is what stands under it.
    `grace_s` is how long it may see nothing before that is an alert; None: for ever. `at_end` is fail or note: what a
    nan or divergence alert that stands when the job has exited 0 does to the verdict.
    """

    name: str
    kind: str
    asks: Any
    interval_s: float = 60.0
    limit_s: float = CHECK_LIMIT_S
    alert_on: str = ""
    rules: tuple[Rule, ...] = ()
    action: Action = Action()
    grace_s: float | None = None
    at_end: str = "fail"
    env: tuple[str, ...] = ()


class Edge(Record):
    """A written dependency: a gate. `until` is started, first_checkpoint or finished."""

    step: int
    until: str = "finished"


WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".npz")


def path_of(asks: object) -> str:
    """Return the path or glob of a question about files."""
    return str(asks.get("path") or "") if isinstance(asks, dict) else str(asks or "")


def checkpoint_glob(pattern: str) -> str:
    """Return the glob by which checkpoints are found: a folder stands for what is in it."""
    return f"{pattern}*" if pattern.endswith("/") else pattern


def speaks_of_checkpoints(text: str, asks: object) -> bool:
    """Tell whether a criterion bound to a file is about checkpoints: a log that must be there is none."""
    path = path_of(asks)
    told = f"{text} {path}".lower()
    return "checkpoint" in told or "ckpt" in told or path.endswith(WEIGHTS)


class Step(Record):
    """One numbered entry of the plan. `main` is None when nothing is written to run."""

    number: int
    slug: str
    title: str = ""
    depends_on: tuple[Edge, ...] = ()
    pre_flight: tuple[Check, ...] = ()
    main: Main | None = None
    post_validation: tuple[Check, ...] = ()
    background: tuple[Monitor, ...] = ()

    @property
    def is_job(self) -> bool:
        """True when MAIN runs in the background."""
        return self.main is not None and self.main.mode == "background"

    @property
    def start_criteria(self) -> tuple[Criterion, ...]:
        """What a job must meet to count as started: what says so, and that a checkpoint is there which is watched."""
        watched = {path_of(monitor.asks) for monitor in self.background if monitor.kind == "checkpoints"}
        found = self.main.criteria if self.main else ()
        first = [one for one in found if not one.at and one.kind == "file" and path_of(one.asks) in watched]
        return tuple(one for one in found if one.at == "start" or one in first)

    @property
    def checkpoints(self) -> str:
        """The glob by which this step's checkpoints are found, empty when nothing tells."""
        asked = [monitor.asks for monitor in self.background if monitor.kind == "checkpoints"]
        bound = self.main.criteria if self.main else ()
        found = [one.asks for one in bound if one.kind == "file" and speaks_of_checkpoints(one.text, one.asks)]
        return path_of(next(iter((*asked, *found)), ""))


class Notifier(Record):
    """Who is told: `target` is an apprise URL, the variable that holds one (`kind` env), or a shell command.

    `on` are the notices it wants, `env` the secrets that a command needs.
    """

    kind: str
    target: str
    on: tuple[str, ...] = NOTICES
    env: tuple[str, ...] = ()


class Settings(Record):
    """Plan-wide settings. `env` = None lets commands inherit everything; a tuple names what they get."""

    version: int = 1
    runner: str = ""
    model: str = ""
    python: str = ""
    strict: bool = False
    on_change: str = "note"
    protect: tuple[str, ...] = ()
    log_processors: tuple[str, ...] = ()
    env: tuple[str, ...] | None = None
    max_parallel: int = 3
    max_output: int = GIB
    notify: tuple[Notifier, ...] = ()
    judge: Any = None
    sandbox: Any = None
    limits: Any = None

    @property
    def protected(self) -> tuple[str, ...]:
        """Return the globs that no agent may change: those written, and the modules of log processors."""
        modules = [path.rpartition(".")[0].replace(".", "/") for path in self.log_processors]
        return (*self.protect, *(glob for name in modules for glob in (f"{name}.py", f"{name}/**")))
