"""The parsed plan as frozen values: the content of step_definitions.yaml, with the defaults filled in."""

from __future__ import annotations

from executor.monitoring.model import CHECK_LIMIT_S, path_of, speaks_of_checkpoints
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.monitoring.model import Monitor, Notifier
    from executor.plan.step_ids import StepId

TEST_LIMIT_S = 60.0
MAIN_LIMIT_S = 3600.0
GIB = 1024**3


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
    """Attempts at MAIN, and the failures after which it is tried again: timeout, oom, rate_limit, any, exit:N."""

    attempts: int = 1
    on: tuple[str, ...] = ("any",)


class Main(Record):
    """MAIN of a step. `limit_s` is for each attempt, seconds; `env` names secrets for an agent's shell.

    `chunks` are their sizes, `rows` is the JSON Lines file of each, {chunk} being its number.
    `inputs` and `outputs` are globs of files that MAIN reads and writes, `env_file` files that set variables.
    `matrix` lists values of parameters: each combination is a cell, with a run of its own.
    `params` names parameters that MAIN reads from its environment and that its text does not name.
    `resources` are the amounts of the capacity that it takes, `exclusive` the names that no other step has meanwhile.
    `judge`, `sandbox` and `limits` are as written; `plan.limits` merges them with those of the settings.
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
    params: tuple[str, ...] = ()
    matrix: Any = None
    resources: Mapping[str, int] = {}
    exclusive: tuple[str, ...] = ()


class Condition(Record):
    """The `if` of a step: the metric of another step, and the limits that it must keep, by their keys."""

    step: int | str
    metric: str
    limits: Mapping[str, object] = {}


class Edge(Record):
    """A dependency: a gate where it is written. `until` is started, first_checkpoint or finished.

    `in_order` says that the order of a document implies it: it holds a step back, and never makes it stale.
    """

    step: StepId
    until: str = "finished"
    in_order: bool = False


class Step(Record):
    """One numbered entry of the plan. `main` is None when nothing is written to run.

    `values` are those that replaced references in MAIN, by reference; `written` has the command, args and objective
    before that. `missing` are references without a value, `unsafe` those whose value a shell would read.
    `text` is the digest of what the task asks for in the document of another tool.
    """

    number: StepId
    slug: str
    title: str = ""
    depends_on: tuple[Edge, ...] = ()
    pre_flight: tuple[Check, ...] = ()
    main: Main | None = None
    post_validation: tuple[Check, ...] = ()
    background: tuple[Monitor, ...] = ()
    text: str = ""
    values: Mapping[str, object] = {}
    written: Mapping[str, object] = {}
    missing: tuple[str, ...] = ()
    unsafe: tuple[str, ...] = ()
    condition: Condition | None = None
    context: tuple[str, ...] = ()

    @property
    def is_job(self) -> bool:
        """True when MAIN runs in the background."""
        return self.main is not None and self.main.mode == "background"

    @property
    def words_of_main(self) -> str:
        """The command, arguments, outputs and criteria of MAIN as one text, where a path may be named."""
        if self.main is None:
            return ""
        asks = map(str, (one.asks for one in self.main.criteria))
        return " ".join((self.main.command, *self.main.args, *self.main.outputs, *asks))

    @property
    def start_criteria(self) -> tuple[Criterion, ...]:
        """The criteria that a job must meet to count as started: `at: start`, and those of watched checkpoints."""
        watched = {path_of(monitor.asks) for monitor in self.background if monitor.kind == "checkpoints"}
        found = self.main.criteria if self.main else ()
        first = [one for one in found if not one.at and one.kind == "file" and path_of(one.asks) in watched]
        return tuple(one for one in found if one.at == "start" or one in first)

    @property
    def checkpoints(self) -> str:
        """The glob of the checkpoints of this step, empty when it names none."""
        asked = [monitor.asks for monitor in self.background if monitor.kind == "checkpoints"]
        bound = self.main.criteria if self.main else ()
        found = [one.asks for one in bound if one.kind == "file" and speaks_of_checkpoints(one.text, one.asks)]
        return path_of(next(iter((*asked, *found)), ""))


class Settings(Record):
    """Plan-wide settings. `env` = None lets commands inherit everything; a tuple names what they get."""

    version: int = 1
    runner: str = ""
    model: str = ""
    python: str = ""
    strict: bool = False
    on_change: str = "note"
    plan: str = ""
    agent_from_text: bool = False
    commit: bool = False
    protect: tuple[str, ...] = ()
    log_processors: tuple[str, ...] = ()
    env: tuple[str, ...] | None = None
    max_parallel: int = 3
    capacity: Mapping[str, int] = {}
    max_output: int = GIB
    notify: tuple[Notifier, ...] = ()
    judge: Any = None
    sandbox: Any = None
    limits: Any = None
    params: Any = None
    context: tuple[str, ...] = ()

    @property
    def protected(self) -> tuple[str, ...]:
        """Return the globs that no agent may change: those written, and the modules of log processors."""
        modules = [path.rpartition(".")[0].replace(".", "/") for path in self.log_processors]
        return (*self.protect, *(glob for name in modules for glob in (f"{name}.py", f"{name}/**")))
