"""A snapshot of the files that judge an agent, in a folder of the run."""

from __future__ import annotations

import json
import os
from operator import itemgetter

from executor.errors import MachineError
from executor.guard import mount_points, startup_files, tree_scan
from executor.guard.config_parts import has_parts
from executor.guard.file_state import FILE, FileState, state_of
from executor.guard.startup_files import Startup
from executor.guard.tree_scan import TreeScan
from executor.system import files
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

VERSION = 2
MANIFEST, CONTENTS = "manifest.json", "contents"
SPEC = "SPEC.md"
ROTATED = f"{LOG_NAME}.[0-9]*"
MOST_OF_ONE = 64 << 20  # bytes of one file that is kept
MOST_OF_ALL = 256 << 20
MOST_READ = 1 << 30  # bytes of files that are not kept, read for their digests
SMALL = 256 << 10  # bytes of one file that is kept in memory too
MOST_IN_MEMORY = 4 << 20
BLOCK = 1 << 20
_file_values = itemgetter(*FileState._fields)
_cache_values = itemgetter(*FileState._fields[:-2])
NO_STARTUP = Startup()


class Snapshot(TreeScan):
    """A scan with the contents of its files.

    `spec` is the path that SPEC.md leads to, absolute when it is outside the project. `startup` describes the files
    that judging programs read as they start; those that existed are among `files`. `mounted` are the mount points in
    the project, None in a snapshot of an older version.
    """

    globs: tuple[str, ...]
    spec: str
    startup: Startup = NO_STARTUP
    mounted: tuple[str, ...] | None = None


class Memory(Record):
    """The part of a snapshot that this process keeps in memory, safe from the agent; contents by digest.

    `startup` are the files that judging programs read as they start, without those that have other readers too.
    """

    manifest: bytes
    contents: Mapping[str, bytes]
    startup: tuple[str, ...] = ()


class BrokenSnapshotError(Exception):
    """A snapshot that cannot be read."""


def write(root: str, folder: str, globs: tuple[str, ...], wanted: Startup = NO_STARTUP, plan: str = SPEC) -> Memory:
    """Write a snapshot of the files of the globs and of `wanted`; without a manifest, which comes last, there is none.

    `plan` is the file with the boxes. MachineError when it cannot be written.
    """
    files.private_folder(folder)
    manifest = os.path.join(folder, MANIFEST)
    if os.path.lexists(manifest):
        os.unlink(manifest)
    every = (*globs, ROTATED)
    scan = tree_scan.scan(root, every)
    spec = _spec(root, plan)
    wanted = wanted.beside(scan.files)
    found = startup_files.find(root, wanted)
    states = {**found.files, **scan.files, **({} if spec in scan.files else _outside(spec))}
    caches = {**scan.caches, **startup_files.compiled_forms(root, states)}
    wanted = wanted.as_it_was(found)  # the agent may change a module that existed
    try:
        with _Pack(os.path.join(folder, CONTENTS)) as pack:
            kept = {path: pack.add(os.path.join(root, path), state) for path, state in states.items()}
    except OSError as error:
        raise MachineError(f"cannot keep what judges the agent in {folder}: {error.strerror}") from error
    mounted = mount_points.below(root)
    snapshot = Snapshot(kept, caches, scan.above, scan.links, scan.skipped, every, spec, wanted, mounted)
    body = json.dumps(_as_json(snapshot), separators=(",", ":")).encode()
    files.replace(manifest, body)
    return Memory(
        body,
        pack.small,
        tuple(path for path in found.files if not has_parts(path)),
    )


def read(folder: str) -> Snapshot | None:
    """Return the snapshot of a folder, None when there is none; BrokenError when it cannot be read."""
    path = os.path.join(folder, MANIFEST)
    if not os.path.lexists(path):
        return None
    try:
        return _from_json(json.loads(files.read(path)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise BrokenSnapshotError(str(error)) from error


def repair(folder: str, memory: Memory) -> list[str]:
    """Write again the parts of manifest and small contents that were destroyed; return the paths of those files."""
    broken = []
    manifest, pack = os.path.join(folder, MANIFEST), os.path.join(folder, CONTENTS)
    if files.read(manifest) != memory.manifest:
        files.private_folder(folder)
        files.replace(manifest, memory.manifest)
        broken.append(manifest)
    kept = _from_json(json.loads(memory.manifest))
    lost = [one for one in kept.files.values() if one.digest in memory.contents and content(folder, one) is None]
    if lost:
        fd = os.open(pack, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        for one in lost:
            os.pwrite(fd, memory.contents[one.digest], one.at)
        os.close(fd)
        broken.append(pack)
    return broken


def content(folder: str, was: FileState) -> bytes | None:
    """Return the content of a file in the snapshot, None when it was not kept or was changed since."""
    if was.at < 0:
        return None
    try:
        with open(os.path.join(folder, CONTENTS), "rb", opener=_open_file) as file:
            data = os.pread(file.fileno(), was.size, was.at)
    except OSError:
        return None
    return data if files.digest(data) == was.digest else None


def digest_of(path: str) -> str:
    """Return the digest of a regular file, empty when it may not be read."""
    from hashlib import file_digest

    try:
        with open(path, "rb", opener=_open_file) as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _whole(path: str, size: int) -> bytes:
    """Return the bytes of a file of about this size in as few calls as possible: there are thousands of files."""
    fd = _open_file(path, os.O_RDONLY)
    try:
        data = os.read(fd, size + 1)
        while len(data) != size and (more := os.read(fd, BLOCK)):
            data += more
    finally:
        os.close(fd)
    return data


def _open_file(path: str, flags: int) -> int:
    """Open a file through no link, without a wait for the other end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _spec(root: str, plan: str) -> str:
    real = os.path.realpath(os.path.join(root, plan))
    inside = os.path.relpath(real, os.path.realpath(root))
    return real if inside.startswith("../") else inside


def _outside(spec: str) -> dict[str, FileState]:
    """Return the file outside the project that SPEC.md leads to: do-tasks writes there, so it is guarded there."""
    state = state_of(spec) if os.path.isabs(spec) else None
    return {spec: state} if state and state.kind == FILE else {}


class _Pack:
    """The contents of all files in one file: two thousand files would take a second to create."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = open(os.open(path, flags, 0o600), "wb", buffering=BLOCK)  # noqa: SIM115 - it is a context itself
        self._at = 0
        self._in_memory = 0
        self._read = 0
        self.small: dict[str, bytes] = {}
        from hashlib import sha256  # worth its load for thousands of files

        self._sha256 = sha256

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, path: str, state: FileState) -> FileState:
        """Return the state with its digest; keep the content of a file that is not too large."""
        if state.kind != FILE:
            return state
        if state.size > MOST_OF_ONE or self._at + state.size > MOST_OF_ALL:
            self._read += state.size
            return state.replace(digest=digest_of(path)) if self._read <= MOST_READ else state
        try:
            data = _whole(path, state.size)
        except OSError:
            return state
        digest, at = self._sha256(data).hexdigest(), self._at
        self._file.write(data)
        self._at += len(data)
        if len(data) <= SMALL and self._in_memory + len(data) <= MOST_IN_MEMORY:
            self._in_memory += len(data)
            self.small[digest] = data
        return state.replace(size=len(data), digest=digest, at=at)


def _as_json(kept: Snapshot) -> dict[str, object]:
    return {
        "v": VERSION,
        "globs": kept.globs,
        "spec": kept.spec,
        "entries": {path: _file_values(one.__dict__) for path, one in kept.files.items()},
        "caches": {path: _cache_values(one.__dict__) for path, one in kept.caches.items()},
        "above": kept.above,
        "mounts": kept.links,
        "skipped": kept.skipped,
        "startup": kept.startup.asdict(),
        "mounted": kept.mounted,
    }


def _from_json(body: dict[str, Any]) -> Snapshot:
    kept = {path: _state(one[:-2], str(one[-2]), int(one[-1])) for path, one in body["entries"].items()}
    caches = {path: _state(one) for path, one in body["caches"].items()}
    if any(".." in path.split("/") or (os.path.isabs(path) and path != body["spec"]) for path in (*kept, *caches)):
        raise ValueError("a path in it leads out of the project")
    above = {path: int(mode) for path, mode in body["above"].items()}
    links = {path: str(real) for path, real in body["mounts"].items()}
    startup, mounted = Startup.of(body["startup"]), body.get("mounted")
    return Snapshot(
        kept,
        caches,
        above,
        links,
        tuple(body["skipped"]),
        tuple(body["globs"]),
        str(body["spec"]),
        startup,
        None if mounted is None else tuple(map(str, mounted)),
    )


def _state(values: list[Any], digest: str = "", at: int = -1) -> FileState:
    kind, *numbers, target = values
    mode, size, mtime_ns, ctime_ns, inode, uid, gid = map(int, numbers)
    return FileState(str(kind), mode, size, mtime_ns, ctime_ns, inode, uid, gid, str(target), digest, at)
