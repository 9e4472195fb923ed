"""Holds the layers: a module imports only what stands before it in LAYERS."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ROOT / "executor"
LAYERS = {  # a package stands for its modules: they import each other freely, never what stands after
    "L0": "values late errors outcome steps events records readings",
    "L1": "patterns direct shell_tree shell_words shell_syntax shell flaws yaml_events loader asks rules alerts schema"
    " spot unseen build_monitor build structure sample_form left_behind lint_main lint_monitors lint plan plan_parts"
    " secret_names mask_index mask dotenv formats brief cause bounds guarded judge_files judge_parts choose"
    " make_targets lint_agents"
    " lint_proof at_end step_state packing ticks state recall recipes imports pace select ready notify_schemes",
    "L2": "secret_values misnamed refused reading env_files files caches state_home witness journal follow logs"
    " pids descent"
    " person belonging run_lock members whereabouts signals lock_holder lock_files locks capture interrupts proc"
    " watch launcher jobs job_record twins masked_files attend interpreter project known_secrets spec_file claude_files"
    " home_view mounts sandbox start_files set_bits sockets locked own_environment judges startup"
    " ignore_files snapshot mend compared protect brief_memory record_guard task_records sources inputs"
    " judge_reach judge_places",
    "L3": "child herald checks criteria evidence probes measure searching sightless vital watched prober digests"
    " runnable changes moment desk order bench noticed notify notify_checks agent runners monitors",
    "L4": "phases",
    "L5": "engine sequence ending recheck",
    "L6": "supervise views verbs testing cli __main__",
}
ORDER = [name for names in LAYERS.values() for name in names.split()]
PURE = set(f"{LAYERS['L0']} {LAYERS['L1']}".split())
WORLD = {"os", "time", "subprocess", "socket", "random", "pathlib", "shutil", "tempfile", "threading", "signal", "sys"}
CLOCK = {"now", "utcnow", "today"}
STARTS = {"posix_spawn", "posix_spawnp", "Popen", "fork", "forkpty", "system", "popen", "check_output", "check_call"}
LONG = {"schema", "events", "child"}  # two list; child goes alone to another interpreter, so it is one file
HEAVY = {
    *("jsonschema", "structlog", "psutil", "asyncio", "typing"),
    *("dataclasses", "subprocess", "logging", "inspect", "pathlib"),
}

MODULES = sorted(HOUSE.rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def row_of(path: Path) -> str:
    """The name under which LAYERS knows this module: its own, or its package's."""
    first = path.relative_to(HOUSE).parts[0]
    return first.removesuffix(".py")


def names_imported(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rows_imported(path: Path) -> set[str]:
    names = [name.split(".") for name in names_imported(tree_of(path))]
    return {parts[1] for parts in names if parts[0] == "executor" and len(parts) > 1 and parts[1] != "__version__"}


def attributes(tree: ast.AST) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def named(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


ours = pytest.mark.parametrize("path", [path for path in MODULES if row_of(path) != "__init__"], ids=named)


@ours
def test_a_module_stands_in_the_list(path: Path) -> None:
    assert row_of(path) in ORDER, f"add {row_of(path)!r} to LAYERS, after what it imports"


@ours
def test_a_module_imports_only_what_stands_before_it(path: Path) -> None:
    row = row_of(path)
    before = ORDER[: ORDER.index(row)] if row in ORDER else ORDER
    own = {row} if path.parent != HOUSE else set()
    assert not rows_imported(path) - {*before, *own}, f"{row} stands before them in LAYERS"


@ours
def test_no_import_is_relative(path: Path) -> None:
    assert not [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and node.level]


@pytest.mark.parametrize("name", ["child.py", "herald.py"])
def test_what_another_process_runs_is_alone(name: str) -> None:
    assert rows_imported(HOUSE / name) == set()


@pytest.mark.parametrize("path", [path for path in MODULES if row_of(path) in PURE], ids=named)
def test_thought_touches_no_world(path: Path) -> None:
    tree = tree_of(path)
    roots = {name.split(".")[0] for name in names_imported(tree)}
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not roots & WORLD
    assert not attributes(tree) & CLOCK
    assert "open" not in calls


@ours
def test_only_proc_and_launcher_start_processes(path: Path) -> None:
    if row_of(path) not in {"proc", "launcher"}:
        assert not attributes(tree_of(path)) & STARTS


@ours
def test_only_the_journal_writes_the_log(path: Path) -> None:
    if row_of(path) != "journal":
        assert not writes_the_log(tree_of(path))


def writes_the_log(tree: ast.AST) -> list[str]:
    """The calls of some open that name the log together with a way to write."""
    calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    opens = [call for call in calls if call.split("(")[0].endswith("open")]
    logs, ways = (".task_execution.log", "LOG_NAME", "log_path"), ("'w", "'a", "'r+", "'x", "O_WRONLY", "O_RDWR")
    return [call for call in opens if any(log in call for log in logs) and any(way in call for way in ways)]


@pytest.mark.parametrize(
    ("line", "writes"),
    [
        ("open('.task_execution.log', 'a')", True),
        ("os.open(LOG_NAME, os.O_WRONLY | os.O_APPEND)", True),
        ("open('.task_execution.log', 'rb')", False),
        ("open('SPEC.md', 'w')", False),
    ],
)
def test_the_guard_of_the_log_tells_writing_from_reading(line: str, writes: bool) -> None:
    assert bool(writes_the_log(ast.parse(line))) is writes


@ours
def test_a_function_is_one_sentence_and_a_file_has_one_reason(path: Path) -> None:
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef)]
    lines = path.read_text(encoding="utf-8").count("\n")
    assert not [node.name for node in functions if node.end_lineno - node.lineno >= 40]
    assert lines <= 300 or row_of(path) in LONG


def test_nothing_is_mocked() -> None:
    here = Path(__file__)
    files = [path for folder in ("executor", "scripts", "tests") for path in (ROOT / folder).rglob("*.py")]
    assert not [path.name for path in files if path != here and mocks(path.read_text(encoding="utf-8"))]


def mocks(text: str) -> bool:
    tree = ast.parse(text)
    if "monkeypatch.setattr" in text and any(map(is_patch, ast.walk(tree))):
        return True
    return any("mock" in name.split(".") for name in names_imported(tree))


def is_patch(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "monkeypatch.setattr"


def modules_loaded(argv: list[str], folder: Path) -> set[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV", "DO_TASKS"))}
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *argv],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}


def test_list_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "SPEC.md").write_text("- [ ] **STEP 1**: Say hello\n", encoding="utf-8")
    (tmp_path / "step_definitions.yaml").write_text(
        "step_1_hello:\n  main: {command: echo hello, test: none}\n", encoding="utf-8"
    )
    bare = modules_loaded(["-c", "pass"], tmp_path)
    assert not (modules_loaded(["-m", "executor", "list"], tmp_path) - bare) & HEAVY
