"""The programs that judge, with the files that each reads as it starts."""

from __future__ import annotations

import re

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

WORD = re.compile(r"[A-Za-z_.\d][\w.+-]*")
VERSION = re.compile(r"[\d.]+$")


class Tool(Record):
    """A program with the names of the files that configure it.

    `words` in a command or a script stand for it. `near` counts in the folders where judges start, `anywhere` in each
    folder of the project; both are names or patterns. `sections` are those that count in files with sections: tables
    of pyproject.toml below `tool`, sections of setup.cfg and tox.ini.
    """

    words: frozenset[str]
    near: tuple[str, ...] = ()
    anywhere: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()


def _tool(words: str, *, near: str = "", anywhere: str = "", sections: str = "") -> Tool:
    return Tool(frozenset(words.split()), tuple(near.split()), tuple(anywhere.split()), tuple(sections.split()))


TEST_RUNNERS = frozenset(("pytest", "py.test", "unittest", "nose2", "nosetests"))
NODE_PROGRAMS = frozenset("npm npx pnpm pnpx yarn bun bunx node nodejs jest vitest mocha".split())  # noqa: SIM905 - a list
# Read by the next shell in this folder, and by the shells of checks if HOME is in the project.
SHELL_FILES = (".bashrc", ".bash_profile", ".bash_login", ".profile", ".zshenv", ".zshrc", ".envrc")
FILES_WITH_SECTIONS = ("pyproject.toml", "setup.cfg", "tox.ini")

TOOLS: tuple[Tool, ...] = (
    _tool(
        "pytest py.test",
        anywhere="conftest.py pytest.ini .pytest.ini pytest.toml .pytest.toml entry_points.txt",
        sections="pytest tool:pytest",
    ),
    _tool("coverage pytest-cov", near=".coveragerc .coveragerc.toml", sections="coverage coverage:*"),
    _tool("tox", near="tox.toml toxfile.py", sections="tox tox:* testenv testenv:*"),
    _tool("nox", near="noxfile.py"),
    _tool("ruff", anywhere="ruff.toml .ruff.toml .gitignore .ignore", sections="ruff"),
    _tool("mypy dmypy", near="mypy.ini .mypy.ini", sections="mypy mypy-*"),
    _tool("pyright basedpyright", near="pyrightconfig.json", sections="pyright basedpyright"),
    _tool("ty", near="ty.toml", sections="ty"),
    _tool("pylint", near=".pylintrc pylintrc .pylintrc.toml pylintrc.toml", sections="pylint pylint.*"),
    _tool("flake8", near=".flake8", sections="flake8 flake8:*"),
    _tool("black", anywhere=".gitignore", sections="black"),
    _tool("isort", near=".isort.cfg", sections="isort"),
    _tool("bandit", near=".bandit bandit.yaml", sections="bandit"),
    _tool("hatch", near="hatch.toml", sections="hatch"),
    _tool("uv uvx", near="uv.toml", sections="uv"),
    _tool("poetry", near="poetry.toml", sections="poetry"),
    _tool("pdm", near="pdm.toml", sections="pdm"),
    _tool("poe", near="poe_tasks.toml", sections="poe"),
    _tool("invoke inv", near="tasks.py invoke.yaml invoke.py"),
    _tool("doit", near="dodo.py", sections="doit"),
    _tool("nbconvert jupyter papermill", near="jupyter_*config.* ipython_config.py"),
    _tool("make gmake", near="Makefile makefile GNUmakefile *.mk"),
    _tool("just", near="justfile Justfile .justfile"),
    _tool("task", near="Taskfile.yml Taskfile.yaml taskfile.yml taskfile.yaml"),
    _tool("rake bundle", near="Rakefile rakefile Rakefile.rb"),
    _tool("cmake ctest ninja", near="CMakeLists.txt CTestTestfile.cmake CTestConfig.cmake CMakePresets.json"),
    _tool("meson", near="meson.build"),
    _tool("mvn gradle gradlew", near="pom.xml build.gradle build.gradle.kts settings.gradle gradle.properties"),
    _tool("bazel", near=".bazelrc WORKSPACE MODULE.bazel"),
    _tool(
        "npm npx pnpm pnpx yarn bun bunx node nodejs",
        near="package.json .npmrc .yarnrc .yarnrc.yml .pnp.* .pnpmfile.cjs bunfig.toml .nvmrc .node-version",
    ),
    _tool("jest", anywhere="jest.config.* babel.config.* .babelrc*"),
    _tool("vitest", anywhere="vitest.config.* vitest.workspace.* vite.config.*"),
    _tool("mocha", anywhere=".mocharc*"),
    _tool("ava", near="ava.config.*"),
    _tool("playwright", near="playwright.config.*"),
    _tool("cypress", near="cypress.config.* cypress.json"),
    _tool("karma", near="karma.conf.*"),
    _tool("eslint", anywhere="eslint.config.* .eslintrc* .eslintignore"),
    _tool("prettier", anywhere=".prettierrc* prettier.config.* .prettierignore .gitignore"),
    _tool("tsc tsx ts-node", anywhere="tsconfig*.json"),
    _tool("deno", near="deno.json deno.jsonc"),
    _tool("cargo rustc clippy", near="Cargo.toml rust-toolchain rust-toolchain.toml clippy.toml .clippy.toml build.rs"),
    _tool("go", near="go.work"),
    _tool("golangci-lint", near=".golangci.*"),
    _tool("pre-commit", near=".pre-commit-config.yaml"),
    _tool("rg", anywhere=".gitignore .ignore .rgignore"),
    _tool("git pre-commit dvc", near=".gitmodules", anywhere=".gitattributes"),
    _tool("dvc", near="dvc.yaml"),
    _tool("snakemake", near="Snakefile"),
    _tool("docker docker-compose podman", near="Dockerfile Containerfile docker-compose*.y*ml compose*.y*ml"),
    _tool("R Rscript", near=".Rprofile .Renviron"),
    _tool("rspec", near=".rspec"),
    _tool("phpunit", near="phpunit.xml phpunit.xml.dist phpunit.dist.xml"),
    _tool("gdb", near=".gdbinit"),
    _tool("dotenv load_dotenv .env pytest-dotenv", near=".env .env.* .flaskenv"),
)
PYTHON = _tool("", near=".python-version .tool-versions mise.toml .mise.toml", anywhere="sitecustomize* usercustomize*")


def words_of(text: str) -> frozenset[str]:
    """Return the words of commands and scripts, paths split; `python3.11` is `python` too."""
    found = {word.rstrip(".,") for word in WORD.findall(text)}
    return frozenset((*found, *(VERSION.sub("", word) for word in found)))


def tools_in(words: Iterable[str]) -> tuple[Tool, ...]:
    """Return the programs with these words."""
    known = frozenset(words)
    return tuple(tool for tool in TOOLS if known & tool.words)
