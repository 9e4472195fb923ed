"""The packages of `scripts/`: which one may import which, and how they are named."""

import ast
import re
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
MAY_IMPORT = {  # package -> other packages of this repository
    "common": set(),
    "small_lm": set(),
    "tinker_local": set(),
    "distillation": {"common", "small_lm", "tinker_local"},
    "classification": {"common", "small_lm"},
    "tracking": {"common"},
    "tuning": {"common", "small_lm", "tracking"},
}
OF_THE_REPOSITORY = {*MAY_IMPORT, "executor", "tests", "benchmarks"}
packages = pytest.mark.parametrize("package", MAY_IMPORT)


def imports_of(path):
    """Return the dotted names that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def imported_by(package):
    """Return the top-level names that the modules of a package import."""
    return {name.split(".")[0] for path in (SCRIPTS / package).rglob("*.py") for name in imports_of(path)}


def reached_by(script):
    """Return the modules that a script imports, directly or through others, for annotations too."""
    modules = {
        ".".join(path.relative_to(SCRIPTS).with_suffix("").parts): path
        for package in MAY_IMPORT
        for path in (SCRIPTS / package).rglob("[!_]*.py")
    }
    found, left = set(), [SCRIPTS / script]
    while left:
        new = (imports_of(left.pop()) & set(modules)) - found
        found |= new
        left += [modules[name] for name in new]
    return found


def test_every_package_has_a_row():
    assert {path.parent.name for path in SCRIPTS.glob("*/__init__.py")} == set(MAY_IMPORT)


@packages
def test_a_package_imports_only_what_its_row_allows(package):
    assert imported_by(package) & OF_THE_REPOSITORY - {package} <= MAY_IMPORT[package]


@packages
def test_no_module_has_the_name_of_one_of_python(package):
    names = {path.stem for path in (SCRIPTS / package).rglob("*.py")} - {"__init__", "__main__"}
    assert not names & sys.stdlib_module_names


def test_the_evaluation_needs_neither_the_trainer_nor_the_making_of_base_models():
    reached = reached_by("15_evaluate.py")
    assert {"distillation.evaluation.logprob_gap", "tinker_local.engine"} <= reached
    assert not {name for name in reached if name.startswith(("small_lm.", "distillation.base_model."))}
    assert len(reached) <= 51


def test_the_trainer_of_language_models_knows_nothing_of_plays():
    words = re.compile(r"\b(plays?|speakers?|speech(?:es)?|sheets?|falstaff|bard)\b", re.IGNORECASE)
    files = [path for path in (SCRIPTS / "small_lm").rglob("*") if path.suffix in {".py", ".yaml"}]
    assert files
    assert [
        f"{path.name}: {found}" for path in files for found in words.findall(path.read_text(encoding="utf-8"))
    ] == []
