"""The visible part of a home folder in the sandbox: toolchains and caches by name, no key, history or rc file."""

from __future__ import annotations

import os

from executor.guard.file_state import is_within
from executor.system import safe_open
from executor.system.folders import names_in
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Folders of programs and of their downloads. Files with tokens lie beside these, or are in HIDDEN_NAMES.
TOOLS = (
    *(".local/bin", ".local/lib", ".local/pipx", ".local/share/pipx", ".local/share/uv", ".local/share/virtualenvs"),
    *(".local/share/mise/installs", ".local/share/mise/shims", ".local/share/pnpm", ".local/share/jupyter/kernels"),
    *(".pyenv", ".rbenv", ".asdf", ".nvm", ".volta/bin", ".volta/tools", ".fnm", ".bun/bin", ".deno/bin"),
    *(".cargo/bin", ".cargo/registry", ".cargo/git", ".cargo/env", ".rustup", ".juliaup", ".sdkman/candidates"),
    *("go/bin", "go/pkg", "bin", "miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba"),
    *(".conda/envs", ".conda/pkgs", ".virtualenvs", ".mamba/pkgs", "nltk_data"),
)
CACHES = (
    *(".cache/pip", ".cache/uv", ".cache/huggingface", ".cache/torch", ".cache/torch_extensions", ".cache/triton"),
    *(".cache/pypoetry", ".cache/pre-commit", ".cache/matplotlib", ".cache/yarn", ".cache/ms-playwright"),
    *(".cache/go-build", ".triton", ".npm/_cacache", ".npm/_npx", ".keras/datasets"),
)
ALLOWED = (*TOOLS, *CACHES)
# Variables that name a toolchain or a cache in the home.
TOOLCHAIN_VARIABLES = (
    *("VIRTUAL_ENV", "CONDA_PREFIX", "CUDA_HOME", "CUDA_PATH", "JAVA_HOME", "RUSTUP_HOME", "NVM_DIR", "PYENV_ROOT"),
    *("GOROOT", "GOMODCACHE", "HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "TRANSFORMERS_CACHE", "TORCH_HOME"),
    *("UV_CACHE_DIR", "PIP_CACHE_DIR", "UV_PYTHON_INSTALL_DIR", "NLTK_DATA", "TRITON_CACHE_DIR", "CONDA_ROOT"),
)
PATH_VARIABLES = ("PYTHONPATH", "LD_LIBRARY_PATH", "NODE_PATH")
BESIDE_BIN = ("bin", "lib", "lib64", "libexec", "include", "share", "pyvenv.cfg", "conda-meta", "etc")
# Files with tokens, in a folder that is shown.
HIDDEN_NAMES = ("token", "stored_tokens", "credentials", "credentials.toml", "auth.json")
MOST_LINES = 200
MOST_BYTES = 100_000
HOMES = "/home"


def homes(home: str) -> tuple[str, ...]:
    """Return the real paths of the homes: HOME, those of this user and of root, and the folder of all others.

    That folder is not listed, since a home on a dead mount would block.
    """
    named = [home, _of_this_user(), "/root", HOMES] if os.path.isabs(home) else []
    real = [os.path.realpath(path) for path in named if path and os.access(path, os.R_OK | os.X_OK)]
    return tuple(dict.fromkeys(path for path in real if os.path.isdir(path) and can_be_hidden(path)))


def home_links(home: str) -> dict[str, str]:
    """Return a home that is a link in the folder of all homes, with its target."""
    place = os.path.normpath(home)
    inside = place.startswith(f"{HOMES}/") and os.path.islink(place)
    return {place: os.readlink(place)} if inside else {}


def can_be_hidden(home: str) -> bool:
    """Return True for a folder that can be hidden whole; False for one that contains the system."""
    return not any(is_within(folder, home) for folder in ("/usr", "/etc", "/bin", "/lib", "/dev", "/proc"))


def _of_this_user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_dir
    except (ImportError, KeyError):
        return ""


def allowed_paths(home: str) -> tuple[str, ...]:
    """Return the existing paths of the allow list, absolute."""
    paths = (os.path.join(home, name) for name in ALLOWED)
    return tuple(path for path in paths if os.path.exists(path))


def token_files(folder: str) -> Iterator[str]:
    """Yield the files with tokens in an allowed folder, not below."""
    for name in HIDDEN_NAMES:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            yield path


def toolchain_folders(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the folders named by PATH and the variables of toolchains, with the libraries beside a `bin`."""
    path = [part for folder in _split(environ.get("PATH", "")) for part in with_libraries(folder)]
    named = [environ.get(name, "") for name in TOOLCHAIN_VARIABLES]
    listed = [folder for name in PATH_VARIABLES for folder in _split(environ.get(name, ""))]
    found = (os.path.normpath(one) for one in (*path, *named, *listed) if os.path.isabs(one))
    return tuple(dict.fromkeys(one for one in found if os.path.exists(one)))


def with_libraries(folder: str) -> tuple[str, ...]:
    """Return a folder of programs with the libraries beside it, if it belongs to one toolchain."""
    prefix, name = os.path.split(os.path.normpath(folder))
    if name != "bin" or os.path.basename(prefix) in (".local", ".cargo"):
        return (folder,)
    return (folder, *(os.path.join(prefix, one) for one in BESIDE_BIN[1:]))


def editable_packages(prefix: str) -> tuple[str, ...]:
    """Return the folders that .pth files add to an environment's packages, as `pip install -e` does."""
    files = (os.path.join(site, name) for site in package_folders(prefix) for name in names_in(site))
    found = [path for file in files if file.endswith((".pth", "_finder.py")) for path in _paths_in(file)]
    return tuple(dict.fromkeys(found))


def package_folders(prefix: str) -> list[str]:
    """Return the folders of installed packages in an environment."""
    lib = os.path.join(prefix, "lib")
    folders = [os.path.join(lib, name) for name in names_in(lib) if name.startswith("python")]
    each = (os.path.join(folder, kind) for folder in folders for kind in ("site-packages", "dist-packages"))
    return [folder for folder in each if os.path.isdir(folder)]


def _paths_in(file: str) -> list[str]:
    import re

    text = safe_open.read_start_text(file, MOST_BYTES)
    if file.endswith(".pth"):
        found = [line.strip() for line in text.splitlines()[:MOST_LINES] if line.startswith("/")]
    else:
        found = re.findall(r"['\"](/[^'\"\n]+)['\"]", text)[:MOST_LINES]
    return [path for path in found if os.path.isdir(path)]


def repository_paths(root: str) -> tuple[str, ...]:
    """Return the paths that git reads outside the project: the repository above, or that of a worktree."""
    folder = root
    while folder != os.sep and not os.path.lexists(os.path.join(folder, ".git")):
        folder = os.path.dirname(folder)
    if folder == os.sep:
        return ()
    return (*([folder] if folder != root else []), *_git_folder(os.path.join(folder, ".git")))


def _git_folder(marker: str) -> tuple[str, ...]:
    """Return the repository that a worktree's .git file leads to."""
    text = safe_open.read_start_text(marker, MOST_BYTES)
    if not text.startswith("gitdir:"):
        return ()
    path = os.path.realpath(os.path.join(os.path.dirname(marker), text.removeprefix("gitdir:").strip()))
    common, _, rest = path.partition("/.git/")
    return (os.path.join(common, ".git"),) if rest else ()


def _split(path: str) -> list[str]:
    return [one for one in path.split(os.pathsep) if os.path.isabs(one)]
