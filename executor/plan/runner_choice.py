"""Choice of the runner of MAIN: the first written in the order command line, step, settings, environment."""

from __future__ import annotations

from executor.errors import UsageError
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import did_you_mean, quoted

if TYPE_CHECKING:
    from executor.plan.model import Main, Settings

RUNNERS = ("command", "agent", "claude-code", "host", "slurm")
STARTED_AGENTS = ("agent", "claude-code")  # agents that do-tasks starts
AGENTS = (*STARTED_AGENTS, "host")  # runners of MAIN by a model; host is the agent that called do-tasks
CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
VARIABLE = "DO_TASKS_RUNNER"


class Choice(Record):
    """A runner, and the reason for it, for transcript and log."""

    runner: str
    why: str


def runner(
    main: Main,
    settings: Settings,
    *,
    asked: str,
    environ_runner: str,
    has_credentials: bool,
    has_claude: bool,
    lacks: str = "credentials",
) -> Choice:
    """Return the runner of MAIN; UsageError, with its source, for a name that is no runner. Empty text is no choice.

    A job or chunks are always a process. An agent without credentials gives way to the script or command, unless the
    command line insists on it. `lacks` is what is missing when there are none, for the words of it.
    """
    choice = _first_choice(main, settings, asked=asked, environ_runner=environ_runner)
    runs = "script" if main.script else "command" if main.command else ""
    if main.mode != "normal":
        return Choice("command", f"mode: {main.mode} runs a process, its {runs or 'script'}, whoever is asked for")
    wants_agent = choice.runner == "agent" if choice else bool(main.agent) or not runs
    if wants_agent and runs and not has_credentials and not asked:
        return Choice("command", f"{_agent(main)} has no {lacks}, so its {runs} runs instead")
    if choice:
        return choice
    if not wants_agent:
        return Choice("command", f"the step has a {runs} and names no agent")
    return _doing_it(main, lacks="" if has_credentials else lacks, has_claude=has_claude)


def _first_choice(main: Main, settings: Settings, *, asked: str, environ_runner: str) -> Choice | None:
    """Return the first choice that is written."""
    for name, reason in (
        (asked, "the command line asks for it"),
        (main.runner, "the step says so"),
        (settings.runner, "the settings say so"),
        (environ_runner, f"{VARIABLE} says so"),
    ):
        if name and name not in RUNNERS:
            raise UsageError(f"{quoted(name)} is no runner ({reason}); one of {', '.join(RUNNERS)}{_near(name)}")
        if name:
            return Choice(name, reason)
    return None


def _doing_it(main: Main, *, lacks: str, has_claude: bool) -> Choice:
    """Return the runner of a step for agents when none is chosen."""
    if not lacks:
        return Choice("agent", f"the step is for {_agent(main)}")
    bare = f"{_agent(main)} has no {lacks} and the step has neither script nor command"
    if has_claude:
        return Choice("claude-code", f"{bare}; claude is installed")
    return Choice("host", f"{bare}; whoever called does it")


def _agent(main: Main) -> str:
    return f"agent {main.agent}" if main.agent else "the agent"


def _near(name: str) -> str:
    return did_you_mean(name, RUNNERS)
