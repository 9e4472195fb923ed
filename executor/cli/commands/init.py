"""`init`: create a plan, and files with which Claude Code runs it; overwrites nothing."""

from __future__ import annotations

import json
import os
from shlex import quote

from executor.cli.options import flag, option
from executor.errors import MachineError
from executor.plan.plan import read_plan
from executor.plan.schema import plan_schema
from executor.store.project import DEFINITIONS as DEFINITIONS_AT
from executor.system import files
from executor.system.installation import IMPORT_FOLDER, package_file
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

EXAMPLE = {
    "SPEC.md": "SPEC.md",
    "step_definitions.yaml": "step_definitions.yaml",
    "scripts/count_words.py": "count_words.py.txt",
}
IGNORED = (".do-tasks/", ".task_execution.log*")
CLAUDE = ".claude"
CLAUDE_FILES = (
    "commands/do-tasks-v2.md",
    "agents/AGENT.md",
    "skills/tinker-api/SKILL.md",
    "skills/tinker-api/examples.md",
    "skills/tinker-api/quick-reference.md",
)
# Packed into a wheel, or, in a checkout, where this project itself has them: there is one copy.
SOURCES = (package_file("claude"), os.path.join(IMPORT_FOLDER, CLAUDE))


OPTIONS = (
    option("folder", nargs="?", default="", help="default: this folder"),
    flag("--no-claude", "leave out the files for Claude Code"),
)


def run(args: Namespace) -> Verdict:
    """Write missing files; print each file as written or unchanged."""
    folder = os.path.abspath(args.folder or args.project)
    written = [_write(folder, name, text.encode()) for name, text in _contents(folder).items()]
    installed = [] if args.no_claude else [_install(folder, name) for name in CLAUDE_FILES]
    for line in [*written, *installed, _ignore(folder)]:
        print(line)
    there = f"cd {quote(os.path.relpath(folder))} && " if folder != os.getcwd() else ""
    print(f"next: {there}do-tasks validate && do-tasks --continue")
    return Verdict.PASSED


def _contents(folder: str) -> dict[str, str]:
    """Return the files to write: the example, or for existing definitions a SPEC.md with their steps."""
    found = [name for name in DEFINITIONS_AT if os.path.isfile(os.path.join(folder, name))]
    if not found:
        schema = json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n"
        example = {name: files.read(package_file("cli", "example", own)).decode() for name, own in EXAMPLE.items()}
        return {**example, "step_definitions.schema.json": schema}
    plan = read_plan(files.read(os.path.join(folder, found[0])), file=found[0])
    boxes = [f"- [ ] **STEP {number}**: {' '.join(plan.title(number).split())}" for number in plan.numbers]
    return {"SPEC.md": "\n".join(["# Plan", "", *boxes, ""])}


def _install(folder: str, name: str) -> str:
    """Copy one file for Claude Code; for an existing different one return the command that shows the difference."""
    source = next((path for path in (os.path.join(folder, name) for folder in SOURCES) if os.path.isfile(path)), "")
    if not source:
        raise MachineError(f"this installation lacks {name}; install do-tasks again, or: do-tasks init --no-claude")
    there = os.path.join(folder, CLAUDE, name)
    line = _write(folder, os.path.join(CLAUDE, name), files.read(source))
    if not os.path.isfile(there) or files.read(there) == files.read(source):
        return line
    return f"{line}; it differs: diff {quote(there)} {quote(source)}"


def _write(folder: str, name: str, data: bytes) -> str:
    path = os.path.join(folder, name)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot make the folder of {path}: {error.strerror}") from error
    try:
        with open(path, "xb") as file:
            file.write(data)
    except FileExistsError:
        return f"unchanged:  {name}"
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror}") from error
    return f"written:    {name}"


def _ignore(folder: str) -> str:
    """Add the files that runs write to .gitignore, once."""
    path = os.path.join(folder, ".gitignore")
    old = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            old = file.read()
    missing = [line for line in IGNORED if line not in old.split()]
    if not missing:
        return "unchanged:  .gitignore"
    with open(path, "a", encoding="utf-8") as file:
        file.write(("" if not old or old.endswith("\n") else "\n") + "\n".join(missing) + "\n")
    return f"added to:   .gitignore ({', '.join(missing)})"
