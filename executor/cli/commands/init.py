"""`init`: a plan, with what Claude Code wants to drive it, in a folder that had none; overwrites nothing."""

from __future__ import annotations

import json
import os
from shlex import quote

from executor.cli.options import flag, option
from executor.errors import MachineError
from executor.plan.plan import read_plan
from executor.plan.schema import plan_schema
from executor.store.project import DEFINITIONS as DEFINITIONS_AT
from executor.system import files, installation
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

SPEC = """\
# Plan

What must become true, one box a step. `do-tasks --continue` runs the open ones in order.

- [ ] **STEP 1**: Count the words of this file
- [ ] **STEP 2**: Check the count
"""
DEFINITIONS = """\
# yaml-language-server: $schema=step_definitions.schema.json
# How each step of SPEC.md is checked, tried small, done and verified. `do-tasks validate` reports what is wrong here.
# An editor that reads the first line completes keys and marks mistakes; after an upgrade:
# do-tasks schema > step_definitions.schema.json
settings: {strict: true}   # a box is ticked for proof alone: every criterion is bound to a check

step_1_count:
  title: Count the words of this file
  pre_flight:
    - {task: spec_is_here, file: SPEC.md}
    - {task: room_on_disk, disk_free: {min_gb: 0.1}}
  main:
    objective: Count the words of SPEC.md
    script: scripts/count_words.py
    timeout: 60
    success_criteria:
      - {criterion: "The count is written", file: counts.json}
  post_validation:
    - {task: is_json, command: "python -m json.tool counts.json"}

step_2_check:
  title: Check the count
  depends_on: [1]
  main:
    objective: See that there are words
    command: "python -c 'import json; print(json.load(open(\\"counts.json\\"))[\\"words\\"])'"
    test: none
    success_criteria:
      - {criterion: "More than ten words", metric: {file: counts.json, name: words, above: 10}, any_age: true}
"""
SCRIPT = '''\
"""Count the words of SPEC.md: python scripts/count_words.py [--test]."""

import json
import os
import sys
from pathlib import Path

TEST = "--test" in sys.argv or os.environ.get("DO_TASKS_TEST") == "1"


def main() -> None:
    """Count, on the first line alone under --test, whose result is not kept."""
    text = Path("SPEC.md").read_text(encoding="utf-8")
    words = (text.splitlines()[0] if TEST else text).split()
    print(f"{len(words)} words")
    if not TEST:
        Path("counts.json").write_text(json.dumps({"words": len(words)}), encoding="utf-8")


main()
'''
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
SOURCES = (installation.package_file("claude"), os.path.join(installation.IMPORT_FOLDER, CLAUDE))


OPTIONS = (
    option("folder", nargs="?", default="", help="default: this folder"),
    flag("--no-claude", "leave out the files for Claude Code"),
)


def run(args: Namespace) -> Verdict:
    """Write what is missing and say what was left alone."""
    folder = os.path.abspath(args.folder or args.project)
    written = [_write(folder, name, text.encode()) for name, text in _contents(folder).items()]
    installed = [] if args.no_claude else [_install(folder, name) for name in CLAUDE_FILES]
    for line in [*written, *installed, _ignore(folder)]:
        print(line)
    there = f"cd {quote(os.path.relpath(folder))}, " if folder != os.getcwd() else ""
    print(f"next: {there}do-tasks validate, then do-tasks --continue")
    return Verdict.PASSED


def _contents(folder: str) -> dict[str, str]:
    """Return the files to write: the example, or for definitions that are there already a SPEC.md with their boxes."""
    found = [name for name in DEFINITIONS_AT if os.path.isfile(os.path.join(folder, name))]
    if not found:
        schema = json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n"
        example = {"SPEC.md": SPEC, "step_definitions.yaml": DEFINITIONS, "scripts/count_words.py": SCRIPT}
        return {**example, "step_definitions.schema.json": schema}
    plan = read_plan(files.read(os.path.join(folder, found[0])), file=found[0])
    boxes = [f"- [ ] **STEP {number}**: {' '.join(plan.title(number).split())}" for number in plan.numbers]
    return {"SPEC.md": "\n".join(["# Plan", "", *boxes, ""])}


def _install(folder: str, name: str) -> str:
    """Copy one file for Claude Code; of one that is there and differs, say how to see in what."""
    ours = next((path for path in (os.path.join(source, name) for source in SOURCES) if os.path.isfile(path)), "")
    if not ours:
        raise MachineError(f"this installation lacks {name}; install do-tasks again, or: do-tasks init --no-claude")
    there = os.path.join(folder, CLAUDE, name)
    told = _write(folder, os.path.join(CLAUDE, name), files.read(ours))
    if not os.path.isfile(there) or files.read(there) == files.read(ours):
        return told
    return f"{told}; it differs: diff {quote(there)} {quote(ours)}"


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
        return f"left alone: {name} (it was there)"
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror}") from error
    return f"written:    {name}"


def _ignore(folder: str) -> str:
    """Add what runs write to .gitignore, once."""
    path = os.path.join(folder, ".gitignore")
    old = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            old = file.read()
    missing = [line for line in IGNORED if line not in old.split()]
    if not missing:
        return "left alone: .gitignore (it has our lines)"
    with open(path, "a", encoding="utf-8") as file:
        file.write(("" if not old or old.endswith("\n") else "\n") + "\n".join(missing) + "\n")
    return f"added to:   .gitignore ({', '.join(missing)})"
