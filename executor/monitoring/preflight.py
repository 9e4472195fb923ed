"""Monitors that can never see anything, found before the job starts."""

from __future__ import annotations

import os
import re
import stat
from fnmatch import translate

from executor.monitoring.model import options_of
from executor.monitoring.probes.paths import MAGIC, placed
from executor.system.folders import expand_home
from executor.system.records import TYPE_CHECKING
from executor.system.shell import bash_command, simple_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.monitoring.model import Monitor

OWN = ("stdout", "stderr")
PACKED = ("gz", "zst", "xz", "bz2", "zip", "tar", "tgz", "7z", "lz4")
BINARY = (
    *("parquet", "feather", "arrow", "orc", "avro", "npy", "npz", "pkl", "pickle", "h5", "hdf5", "mat", "msgpack"),
    *("pt", "pth", "ckpt", "safetensors", "bin", "onnx", "gguf", "db", "sqlite", "sqlite3", "xlsx", "xls", "wandb"),
    *("png", "jpg", "jpeg", "svg", "pdf"),
)
DATABASES = ("db", "sqlite", "sqlite3")  # MLflow's
STARTS = (
    b"PAR1",
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"\x89HDF",
    b"SQLite format",
    b"\x93NUMPY",
    b"\x28\xb5\x2f\xfd",
    b"\x7fELF",
)
MOUNTS = ("/", "/mnt", "/media", "/run/media", "/Volumes", "/home", "/net")
TEXTS = (".jsonl", ".ndjson", ".csv", ".tsv")
EVENTS = "tfevents"
_PLACEHOLDER = re.compile(r"\{[^{}/]*\}|%\(?\w*\)?0?\d*[dsi]|<\w+>")
_VARIABLE = re.compile(r"\$\{?\w|`")
_WORD = re.compile(r"[A-Za-z_][\w.+-]*")


def sightless(monitors: tuple[Monitor, ...], root: str, *, around: str, path: str) -> Iterator[tuple[int, str, str]]:
    """Yield index, kind and reason of each monitor that can never see anything.

    `around` is the text of MAIN and its script, which may name a path; `path` is the PATH of commands.
    """
    for place, monitor in enumerate(monitors):
        words = " ".join((around, *(str(one.asks) for at, one in enumerate(monitors) if at != place)))
        reason = _REASONS.get(monitor.kind, _nothing)(monitor, root, words) or _no_program(monitor, path)
        if reason:
            yield place, monitor.kind, reason


def _nothing(monitor: Monitor, root: str, words: str) -> str:
    return ""


def _metrics(monitor: Monitor, root: str, words: str) -> str:
    asks = options_of(monitor.asks, "file")
    pattern = str(asks["file"])
    ending = _ending(pattern)
    if ending == "wandb":
        return f"{pattern} is W&B's own binary log: name files/output.log or files/wandb-summary.json beside it"
    if ending in (*PACKED, *BINARY) and ending not in DATABASES and not asks.get("format"):
        return f"{pattern} cannot be read: metrics reads JSON, CSV, logs, TensorBoard event files and MLflow's stores"
    return _path(pattern, root) or _odd_file(pattern, root, "metrics") or _folder_of_text(pattern, root)


def _log(monitor: Monitor, root: str, words: str) -> str:
    pattern = str(options_of(monitor.asks, "file")["file"])
    if pattern in OWN:
        return ""
    if _ending(pattern) in (*PACKED, *BINARY):
        return f"{pattern} is no text: log reads lines"
    if pattern.endswith("/") or os.path.isdir(placed(root, pattern)):
        return f"{pattern} is a folder: write {pattern.rstrip('/')}/*, of which the newest file is read"
    return _path(pattern, root) or _odd_file(pattern, root, "log")


def _checkpoints(monitor: Monitor, root: str, words: str) -> str:
    return _path(str(options_of(monitor.asks, "path")["path"]), root)


def _disk(monitor: Monitor, root: str, words: str) -> str:
    path = str(options_of(monitor.asks, "path")["path"])
    whole = placed(root, path)
    if MAGIC & {*path} and not os.path.exists(whole):
        return f"{path} is a glob: disk looks at one path"
    wrong = _path(path, root)
    if wrong or os.path.exists(whole) or os.path.isdir(os.path.dirname(whole.rstrip("/"))):
        return wrong
    first = os.path.basename(_first_missing(whole))
    named = first in _WORD.findall(words) or first in re.split(r"[/\s'\"]+", words)
    return "" if named else f"{path} is not there, nor is the folder it lies in, and nothing in the step names {first}"


def _gpu(monitor: Monitor, root: str, words: str) -> str:
    if monitor.asks is True:
        return ""
    from executor.monitoring.probes.gpu import cards

    count = len(cards())
    return f"no GPU {monitor.asks} here: there are {count}, counted from 0" if 0 < count <= monitor.asks else ""


_REASONS: dict[str, Callable[[Monitor, str, str], str]] = {
    "metrics": _metrics,
    "log": _log,
    "checkpoints": _checkpoints,
    "disk": _disk,
    "gpu": _gpu,
}


def _ending(pattern: str) -> str:
    name = os.path.basename(pattern)
    return name.rpartition(".")[2].lower() if "." in name else ""


def _path(pattern: str, root: str) -> str:
    """Return the reason why a path or glob can never find anything, empty for none."""
    whole = placed(root, pattern)
    if os.path.lexists(whole):
        return "" if os.access(whole, os.R_OK) else f"{pattern} cannot be read: no right to"
    return _spelling(pattern) or _way(pattern, whole)


def _spelling(pattern: str) -> str:
    if re.match(r"\w+://", pattern):
        return f"{pattern} is an address: monitors read files of this machine"
    if _VARIABLE.search(expand_home(pattern)):
        return f"{pattern} is taken as it stands: no variable but $HOME at its start is expanded in it"
    if hit := _PLACEHOLDER.search(pattern):
        return f"{hit[0]} in {pattern} stands for itself: write * for what varies"
    if "\\" in pattern:
        return f"{pattern} has a backslash: folders are parted by /"
    impossible = [part for part in pattern.split("/") if MAGIC & {*part} and "(?!)" in translate(part)]
    return f"{impossible[0]} matches no name: its range is empty" if impossible else ""


def _way(pattern: str, whole: str) -> str:
    """Return the reason why a path can never exist: a file in the way, or a folder that no job makes."""
    fixed = whole if not MAGIC & {*whole} else whole[: min(map(whole.find, MAGIC & {*whole}))].rpartition("/")[0] or "/"
    missing = _first_missing(fixed) or fixed
    above = os.path.dirname(missing.rstrip("/")) or "/"
    if os.path.exists(above) and not os.path.isdir(above):
        return f"{pattern} cannot come to be: {above} is a file, no folder"
    if fixed.rstrip("/") and missing == fixed and os.path.isfile(fixed) and fixed != whole:
        return f"{pattern} cannot come to be: {fixed} is a file, no folder"
    is_folder = missing.rstrip("/") != whole.rstrip("/")
    if is_folder and above in MOUNTS and not os.path.exists(missing):
        return f"{pattern} cannot come to be: there is no {missing}, and no job makes a folder in {above}"
    return ""


def _first_missing(path: str) -> str:
    """Return the uppermost missing part of a path, empty when all of it exists."""
    at = ""
    for part in path.split("/"):
        at = f"{at}/{part}" if at or part else "/"
        at = at.replace("//", "/")
        if not os.path.lexists(at):
            return at
    return ""


def _odd_file(pattern: str, root: str, kind: str) -> str:
    """Return the reason why an existing file cannot be read as text, empty for none."""
    whole = placed(root, pattern)
    try:
        status = os.stat(whole)
        if stat.S_ISDIR(status.st_mode):
            return ""
        if not stat.S_ISREG(status.st_mode):
            return f"{pattern} is no plain file: {kind} reads files that grow"
        with open(whole, "rb") as file:
            start = file.read(16)
    except OSError:
        return ""
    is_store = kind == "metrics" and start.startswith(b"SQLite format") and _ending(pattern) in DATABASES
    return f"{pattern} is no text: {kind} cannot read it" if start.startswith(STARTS) and not is_store else ""


def _folder_of_text(pattern: str, root: str) -> str:
    """Return the error of a folder with metrics as text: only event files are read from a folder."""
    whole = placed(root, pattern)
    if not os.path.isdir(whole):
        return ""
    names = [name for _, _, files in os.walk(whole) for name in files][:1000]
    text = next((name for name in names if name.endswith(TEXTS)), "")
    if not text or any(EVENTS in name for name in names):
        return ""
    instead = f"{pattern.rstrip('/')}/{text}"
    return f"{pattern} is a folder, read for files of TensorBoard or MLflow alone, and has none: write {instead}"


def _no_program(monitor: Monitor, path: str) -> str:
    """Return the error of a program that is not on the PATH; only a name without a folder is searched."""
    if monitor.kind not in ("command", "check", "alert"):
        return ""
    name = first_program(str(monitor.asks))
    found = any(os.access(os.path.join(folder, name), os.X_OK) for folder in path.split(os.pathsep) if folder)
    return f"there is no program {name} on the PATH" if name and not found else ""


def first_program(command: str) -> str:
    """Return the program that a command certainly starts first, empty when that is not sure."""
    name = next(iter(simple_command.simple_words(command)), "")
    if not name and (script := bash_command.parse(command)) and script.parts:
        first = script.parts[0].pipelines[0].commands[0]
        name = str(first.values[0] or "") if first.kind == "simple" and first.values else ""
    is_plain = bool(_WORD.fullmatch(name)) and not simple_command.is_builtin(name) and "function" not in command
    return name if is_plain and "()" not in command and "alias" not in command else ""
