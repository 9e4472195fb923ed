"""The packages of `scripts/`: which one may import which, and how they are named."""

import ast
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
MAY_IMPORT = {  # package -> other packages of this repository
    "common": set(),
    "small_lm": set(),
    "tinker_local": set(),
    "distillation": {"common", "small_lm", "tinker_local"},
}
OF_THE_REPOSITORY = {*MAY_IMPORT, "executor", "tests", "benchmarks"}
packages = pytest.mark.parametrize("package", MAY_IMPORT)


def imported_by(package):
    """Return the top-level names that the modules of a package import, in functions too."""
    found = set()
    for path in (SCRIPTS / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: a relative import"
                found.add((node.module or "").split(".")[0])
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
