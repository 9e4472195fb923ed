"""The commands with their help texts, and the nearest match for a misspelt option."""

from __future__ import annotations

from executor.system.records import Record
from executor.system.text import did_you_mean


class Command(Record):
    """One command: its line in the overview, one example, its module below `commands` when the names differ."""

    summary: str
    example: str
    module: str = ""


COMMANDS = {
    "run": Command(
        "run steps: --step 1 | 1-5 | 1,3,7-9 | name, --continue, --all, --dry-run", "do-tasks --step 3-5 --strict"
    ),
    "list": Command("steps with their state; --ready: only those that can start now", "do-tasks list --ready"),
    "why": Command("what would run for a step, and why", "do-tasks why 3"),
    "validate": Command("every problem of the plan at once, and checks that cannot fail", "do-tasks validate --json"),
    "lint": Command(
        "what a plan file says against itself: do-tasks lint FILE", "do-tasks lint specs/001-login/tasks.md"
    ),
    "import": Command(
        "what is read of a plan file of another tool; --scaffold writes first definitions for it",
        "do-tasks import specs/001-login/tasks.md --scaffold",
        "import_plan",
    ),
    "export": Command(
        "open tasks as commands: --github prints `gh issue create`", "do-tasks export --github --tag US1"
    ),
    "new": Command(
        "add a task to a plan in the format's own form", "do-tasks new 'Write the reader' --after T012 --plan tasks.md"
    ),
    "archive": Command(
        "move finished tasks to the place that the plan's format has for them",
        "do-tasks archive --plan openspec/changes/add-login/tasks.md",
    ),
    "next": Command("the tasks that can start now, the best first", "do-tasks next --plan tasks.md -n 3", "next_task"),
    "waves": Command(
        "the open tasks in groups that may run at once", "do-tasks waves --plan .taskmaster/tasks/tasks.json"
    ),
    "critical-path": Command("the longest chain of dependencies", "do-tasks critical-path", "critical_path"),
    "stats": Command("how many tasks are done, by section and by tag", "do-tasks stats --section setup"),
    "graph": Command("the tasks and what each waits for: text, mermaid, dot, svg", "do-tasks graph --format mermaid"),
    "doctor": Command("machine, project, agents, and which process receives which secret", "do-tasks doctor"),
    "init": Command("create a plan in a folder; overwrites nothing", "do-tasks init my-training --no-claude"),
    "log": Command("events of a task; --follow, --rotate", "do-tasks log task_3_0123abcd --follow"),
    "monitor": Command(
        "background jobs; --watch, --json, --until EVENT; the same: --monitor",
        "do-tasks monitor 3 --until first_checkpoint --timeout 600",
    ),
    "resume": Command("check the finished work of a brief, and tick", "do-tasks resume task_3_0123abcd"),
    "accept": Command(
        "accept changed judges of a step that has a brief (a person at a terminal)",
        "do-tasks accept 3 --reason 'new threshold'",
    ),
    "stop": Command("end a task and every process it started", "do-tasks stop task_3_0123abcd --grace 30"),
    "recheck": Command("check ticked steps again, without MAIN", "do-tasks recheck 1-5"),
    "brief": Command(
        "a step, results that it builds on and files of its context, within --budget TOKENS",
        "do-tasks brief 3 --budget 8000",
    ),
    "attest": Command("an in-toto statement of a passed step; --verify FILE compares", "do-tasks attest 3"),
    "retick": Command("tick passed steps again from the log, after SPEC.md was reverted", "do-tasks retick"),
    "mark-done": Command("tick a box by hand", "do-tasks mark-done 3 --reason 'done on the cluster'", "mark"),
    "reopen": Command("open a box by hand", "do-tasks reopen 3 --reason 'new data'", "mark"),
    "clean": Command("remove job folders of old tasks: --keep N, --dry-run", "do-tasks clean --keep 3 --dry-run"),
    "notify": Command("recipients of alerts and ends; --test sends each a notice", "do-tasks notify --test"),
    "mcp": Command("serve the plan as MCP tools over stdio", "do-tasks mcp --project /path/of/the/plan"),
    "schema": Command("JSON Schema of the definitions; --events: of the log", "do-tasks schema --events"),
}
HEAD = """\
do-tasks runs a plan: SPEC.md and step_definitions.yaml. A box is ticked only on evidence.

  do-tasks --step 1 | 1-5 | 1,3,7-9 | name   run these steps
  do-tasks --continue                        continue where the last run stopped
  do-tasks --all [--keep-going]              run every open step, with a summary
  do-tasks --all --jobs 4                    independent steps side by side
  do-tasks --plan specs/1/tasks.md --step T1 a plan of another tool, by its ids
  do-tasks --dry-run                         print what would run, and why
  do-tasks --monitor [--watch | --until E]   background jobs; E: started first_checkpoint finished alert
"""
FOOT = """
Each takes --help, --project DIR and, where it reads a plan, --plan FILE. Exit codes: 0 passed, 1 a step failed,
2 usage or plan, 3 waiting, 4 alert or dead job, 5 another executor, 6 machine, 70 internal error, 130 interrupted."""


def overview() -> str:
    """Return the text of `do-tasks --help`."""
    rows = [f"  {name:<10} {command.summary}" for name, command in COMMANDS.items() if name != "run"]
    return "\n".join([HEAD, *rows, FOOT])


def nearest_option(words: list[str], usage: str) -> str:
    """Return a suggestion for misspelt options, empty without one."""
    import re

    known = re.findall(r"--[\w-]+", usage)
    unknown = [word.partition("=")[0] for word in words if word.startswith("--")]
    near = "".join(did_you_mean(word, known) for word in unknown if word not in known)
    return f"{near.removeprefix('; ')}; " if near else ""
