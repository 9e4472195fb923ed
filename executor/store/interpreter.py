"""The project's Python, with the reason for it."""

from __future__ import annotations

import os

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAMES = ("python", "python3")
SYSTEM = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
DEFAULTS = ("/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin")
OF_TOOLS = ("pipx_metadata.json", "uv-receipt.toml")  # in an environment that holds one tool and no project's packages


class Interpreter(Record):
    """The path of a Python, and its source."""

    path: str
    why: str


def find(root: str, setting: str, environ: Mapping[str, str]) -> Interpreter:
    """Return settings.python, else the Python of the active environment, .venv, PATH, or this process."""
    if setting:
        path = os.path.join(root, os.path.expanduser(setting)) if os.sep in setting else on_path(setting, environ)
        return Interpreter(path or setting, "settings.python")
    return next(_found(root, environ), _own())


def on_path(name: str, environ: Mapping[str, str]) -> str:
    """Return the path of a program on the PATH, empty when it is missing."""
    found = (os.path.join(folder, name) for folder in folders_of(environ))
    return next((path for path in found if _runs(path)), "")


def folders_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the absolute folders of the PATH; relative ones depend on the working directory."""
    return tuple(folder for folder in environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(folder))


def first_on_path(environ: Mapping[str, str]) -> str:
    """Return the python that a shell would start, else its python3, empty without either."""
    return next(filter(None, (on_path(name, environ) for name in NAMES)), "")


def _found(root: str, environ: Mapping[str, str]) -> Iterator[Interpreter]:
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        path = _inside(environ.get(variable, ""))
        if path and (variable != "CONDA_PREFIX" or _is_chosen(path, environ)):
            yield Interpreter(path, f"${variable}")
    path = _inside(os.path.join(root, ".venv"))
    if path:
        yield Interpreter(path, ".venv of the project")
    path = first_on_path(environ)
    if path and not _is_default(path, root, environ):
        yield Interpreter(path, "first on PATH")


def _inside(folder: str) -> str:
    """Return the Python of an environment, empty when the folder is none any more."""
    if not folder:
        return ""
    paths = (os.path.join(os.path.expanduser(folder), "bin", name) for name in NAMES)
    return next((path for path in paths if _runs(path)), "")


def _is_chosen(path: str, environ: Mapping[str, str]) -> bool:
    """Return True for a conda environment other than `base`, or for a base that comes first on PATH."""
    prefix = environ.get("CONDA_PREFIX", "")
    name = environ.get("CONDA_DEFAULT_ENV", "")
    is_base = name == "base" or (not name and os.path.isdir(os.path.join(prefix, "condabin")))
    return not is_base or first_on_path(environ) == path


def _is_default(path: str, root: str, environ: Mapping[str, str]) -> bool:
    """Return True for a Python that was not chosen for this project.

    That holds for the Python of the system. It holds for a Python of the whole machine too, unless this process runs in
    an environment made for do-tasks alone.
    """
    folder = os.path.dirname(path)
    if folder in SYSTEM:
        return True
    shared = folder in DEFAULTS or (folder.endswith("/shims") and not _names_a_version(root, environ))
    return shared and not _is_for_the_tool()


def _names_a_version(root: str, environ: Mapping[str, str]) -> bool:
    """Return True when the version behind a shim was chosen for this folder or this shell."""
    if environ.get("PYENV_VERSION") or environ.get("ASDF_PYTHON_VERSION"):
        return True
    names = (".python-version", ".tool-versions", ".mise.toml", "mise.toml")
    return any(os.path.isfile(os.path.join(root, name)) for name in names)


def _is_for_the_tool() -> bool:
    import sys

    return any(os.path.exists(os.path.join(sys.prefix, name)) for name in OF_TOOLS)


def _own() -> Interpreter:
    import sys

    return Interpreter(sys.executable, "the one that do-tasks runs on")


def _runs(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
