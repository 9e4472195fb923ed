"""Holds the house: few packages, and a module imports only what stands before its own in PACKAGES."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ROOT / "executor"
# A package imports itself and what stands before it here.
PACKAGES = (
    "errors",
    "system",
    "monitoring",
    "plan",
    "store",
    "checks",
    "guard",
    "runners",
    "engine",
    "supervisor",
    "cli",
    "testing",
)
# Modules that touch no file, clock, process or environment.
PURE = {
    "": "errors",
    "system": "dotenv lazy_regex masking masking_index outcome quantities records regex_safety run_records"
    " secret_names shell text",
    "monitoring": "alerts eta model unseen rules",
    "plan": "build build_monitors commit_line condition contradictions dependencies filled_steps formats frontmatter"
    " from_text github_commands graph_drawing issues limits lint longest_path matrix model monitor_rules params parts"
    " plan plan_rules plan_stats references resource_rules roles runner_choice scaffold selection spec"
    " step_rules task_graph task_selection test_support yaml_events yaml_loader",
    "store": "cell_state chunk_state events fingerprint_recipes imports packing state step_state ticks",
    "checks": "failure_cause",
    "guard": "config_parts judge_programs make_targets path_patterns",
    "runners": "agent_events brief brief_budget",
    "engine": "decide step_view",
}
MOST_ENTRIES = 16
WORLD = {"os", "time", "subprocess", "socket", "random", "pathlib", "shutil", "tempfile", "threading", "signal", "sys"}
CLOCK = {"now", "utcnow", "today"}
STARTS = {"posix_spawn", "posix_spawnp", "Popen", "fork", "forkpty", "system", "popen", "check_output", "check_call"}
LONG = {"store.events"}  # a list
HEAVY = {
    *("jsonschema", "structlog", "psutil", "asyncio", "typing"),
    *("dataclasses", "subprocess", "logging", "inspect", "pathlib"),
}

# What is no package of the house: the way in, and the old name of the supervisor, kept for one release.
OUTSIDE = {"", "__main__", "supervise"}
OUTSIDE_NAMES = {"__init__.py", "__main__.py", "py.typed", "supervise"}
MODULES = sorted(HOUSE.rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    """The dotted name of a module below `executor`; of a package its own."""
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path: Path) -> str:
    return name_of(path).split(".")[0]


def is_pure(path: Path) -> bool:
    package, module, *_ = *name_of(path).split(".", 2), ""
    top = "" if not module else package
    return (module or package) in PURE.get(top, "").split()


def names_imported(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages_imported(path: Path) -> set[str]:
    names = [name.split(".") for name in names_imported(tree_of(path))]
    return {parts[1] for parts in names if parts[0] == "executor" and len(parts) > 1 and parts[1] != "__version__"}


def attributes(tree: ast.AST) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def named(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


ours = pytest.mark.parametrize("path", [path for path in MODULES if package_of(path) not in OUTSIDE], ids=named)


def test_the_package_has_few_entries_each_in_the_list() -> None:
    names = {path.name for path in HOUSE.iterdir()} - {"__pycache__"}
    assert names - OUTSIDE_NAMES == {*PACKAGES[1:], "errors.py"}
    assert len(names) <= MOST_ENTRIES


@pytest.mark.parametrize("package", PACKAGES[1:])
def test_a_package_says_in_one_line_what_it_is_for(package: str) -> None:
    assert ast.get_docstring(tree_of(HOUSE / package / "__init__.py"))


def test_no_module_has_the_name_of_one_of_python() -> None:
    names = {path.stem for path in MODULES} - {"__init__", "__main__"}
    assert not names & sys.stdlib_module_names


@ours
def test_a_module_imports_only_what_stands_before_it(path: Path) -> None:
    package = package_of(path)
    before = {*PACKAGES[: PACKAGES.index(package) + 1]}
    assert not packages_imported(path) - before, f"{package} stands before them in PACKAGES"


@ours
def test_no_import_is_relative(path: Path) -> None:
    assert not [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and node.level]


@pytest.mark.parametrize("name", ["checks/project_worker.py", "monitoring/notices/notify_worker.py"])
def test_what_another_process_runs_is_alone(name: str) -> None:
    assert packages_imported(HOUSE / name) == set()


@pytest.mark.parametrize("path", [path for path in MODULES if is_pure(path)], ids=named)
def test_thought_touches_no_world(path: Path) -> None:
    tree = tree_of(path)
    roots = {name.split(".")[0] for name in names_imported(tree)}
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not roots & WORLD
    assert not attributes(tree) & CLOCK
    assert "open" not in calls


@ours
def test_only_proc_and_launcher_start_processes(path: Path) -> None:
    if name_of(path) not in {"system.process", "system.launcher"}:
        assert not attributes(tree_of(path)) & STARTS


@ours
def test_only_the_journal_writes_the_log(path: Path) -> None:
    if name_of(path) != "store.log_writer":
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
    assert lines <= 300 or name_of(path) in LONG


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
