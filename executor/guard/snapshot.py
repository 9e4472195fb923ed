"""What judges an agent as it was before its work: kept in a folder of the run."""

from __future__ import annotations

import json
import os
from operator import itemgetter

from executor.errors import MachineError
from executor.guard import ignore_files, scan, startup_files
from executor.guard.judge_parts import has_parts
from executor.guard.scan import FILE, FileStat, TreeScan
from executor.guard.startup_files import Startup
from executor.system import files
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Self

VERSION = 2
MANIFEST, CONTENTS = "manifest.json", "contents"
SPEC = "SPEC.md"
ROTATED = f"{LOG_NAME}.[0-9]*"
MOST_OF_ONE = 64 << 20  # bytes of one file that is kept
MOST_OF_ALL = 256 << 20
MOST_READ = 1 << 30  # bytes that are read to know files again that are not kept
SMALL = 256 << 10  # bytes of one file that is kept in memory too
MOST_IN_MEMORY = 4 << 20
BLOCK = 1 << 20
_values = itemgetter(*FileStat._fields)
NO_STARTUP = Startup()


class Entry(Record):
    """One guarded path; `digest` is empty when nobody read it, `at` where its content is kept, -1 for nowhere."""

    look: FileStat
    digest: str = ""
    at: int = -1

    # As of a look: there are thousands.
    def __init__(self, look: FileStat, digest: str = "", at: int = -1) -> None:
        given = self.__dict__
        given["look"], given["digest"], given["at"] = look, digest, at


class Snapshot(Record):
    """All that was there. `spec` is the path of the file that SPEC.md is, absolute when a link leads outside.

    `startup` is what judging programs read as they start: what of it was there is among the entries.
    """

    globs: tuple[str, ...]
    entries: Mapping[str, Entry]
    survey: TreeScan
    spec: str
    startup: Startup = NO_STARTUP


class Memory(Record):
    """What we ourselves still know while we live, whatever happens to the folder: contents are by digest.

    `startup` are the paths of what judging programs read as they start, those left out that others read too.
    """

    manifest: bytes
    contents: Mapping[str, bytes]
    startup: tuple[str, ...] = ()


class BrokenError(Exception):
    """What was kept cannot be read."""


def write(root: str, folder: str, globs: tuple[str, ...], wanted: Startup = NO_STARTUP) -> Memory:
    """Keep what the globs guard and what is wanted; the manifest comes last, so that without one nothing was kept."""
    files.private_folder(folder)
    manifest = os.path.join(folder, MANIFEST)
    if os.path.lexists(manifest):
        os.unlink(manifest)
    every = (*globs, ROTATED)
    found = scan.survey(root, every)
    spec = _spec(root)
    wanted = wanted.beside(found.looks)
    there = startup_files.find(root, wanted)
    looks = {**there.files, **found.looks, **({} if spec in found.looks else _outside(spec))}
    found = found.replace(caches={**found.caches, **startup_files.compiled(root, looks)})
    wanted = wanted.as_it_was(there)  # a module that was there is the agent's to change
    try:
        with _Pack(os.path.join(folder, CONTENTS)) as pack:
            entries = {path: pack.entry(_place(root, path), look) for path, look in looks.items()}
    except OSError as error:
        raise MachineError(f"cannot keep what judges the agent in {folder}: {error.strerror}") from error
    body = json.dumps(_as_json(Snapshot(every, entries, found, spec, wanted)), separators=(",", ":")).encode()
    files.replace(manifest, body)
    return Memory(
        body, pack.small, tuple(path for path in there.files if not (has_parts(path) or ignore_files.is_one(path)))
    )


def read(folder: str) -> Snapshot | None:
    """Return what was kept, None when nothing was; BrokenError when it cannot be read."""
    path = os.path.join(folder, MANIFEST)
    if not os.path.lexists(path):
        return None
    try:
        return _from_json(json.loads(files.read(path)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise BrokenError(str(error)) from error


def heal(folder: str, memory: Memory) -> list[str]:
    """Write again what was destroyed of the manifest and of small contents; return the paths of those files."""
    broken = []
    manifest, pack = os.path.join(folder, MANIFEST), os.path.join(folder, CONTENTS)
    if files.read(manifest) != memory.manifest:
        files.private_folder(folder)
        files.replace(manifest, memory.manifest)
        broken.append(manifest)
    kept = _from_json(json.loads(memory.manifest))
    lost = [one for one in kept.entries.values() if one.digest in memory.contents and content(folder, one) is None]
    if lost:
        fd = os.open(pack, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        for one in lost:
            os.pwrite(fd, memory.contents[one.digest], one.at)
        os.close(fd)
        broken.append(pack)
    return broken


def content(folder: str, entry: Entry) -> bytes | None:
    """Return what a file held, None when it is not kept, or not as it was."""
    if entry.at < 0:
        return None
    try:
        with open(os.path.join(folder, CONTENTS), "rb", opener=_plainly) as file:
            data = os.pread(file.fileno(), entry.look.size, entry.at)
    except OSError:
        return None
    return data if files.digest(data) == entry.digest else None


def digest_of(path: str) -> str:
    """Return the digest of a regular file, empty when it may not be read."""
    from hashlib import sha256

    try:
        with open(path, "rb", opener=_plainly) as file:
            told = sha256()
            for block in _blocks(file.fileno()):
                told.update(block)
    except OSError:
        return ""
    return told.hexdigest()


def _whole(path: str, size: int) -> bytes:
    """Return the bytes of a file that is about that long, in as few calls as there can be: there are thousands."""
    fd = _plainly(path, os.O_RDONLY)
    try:
        data = os.read(fd, size + 1)
        while len(data) != size and (more := os.read(fd, BLOCK)):
            data += more
    finally:
        os.close(fd)
    return data


def _plainly(path: str, flags: int) -> int:
    """Open what is a file, through no link, waiting for nobody."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _blocks(fd: int) -> Iterator[bytes]:
    while block := os.read(fd, BLOCK):
        yield block


def _spec(root: str) -> str:
    real = os.path.realpath(os.path.join(root, SPEC))
    inside = os.path.relpath(real, os.path.realpath(root))
    return real if inside.startswith("../") else inside


def _place(root: str, path: str) -> str:
    return path if path.startswith("/") else f"{root}/{path}"


def _outside(spec: str) -> dict[str, FileStat]:
    """Return the file that SPEC.md leads to outside the project: we write there, so we guard it there."""
    look = scan.look(spec) if os.path.isabs(spec) else None
    return {spec: look} if look and look.kind == FILE else {}


class _Pack:
    """The contents of all files, one behind the other: two thousand files would take a second to make."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = open(os.open(path, flags, 0o600), "wb", buffering=BLOCK)  # noqa: SIM115 - it is a context itself
        self._at = 0
        self._in_memory = 0
        self._read = 0
        self.small: dict[str, bytes] = {}
        from hashlib import sha256  # worth its load for thousands of files, which this may be

        self._sha256 = sha256

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def entry(self, path: str, look: FileStat) -> Entry:
        """Keep a path: of a file its content, where it is not too large."""
        if look.kind != FILE:
            return Entry(look)
        if look.size > MOST_OF_ONE or self._at + look.size > MOST_OF_ALL:
            self._read += look.size
            return Entry(look, digest_of(path) if self._read <= MOST_READ else "")
        try:
            data = _whole(path, look.size)
        except OSError:
            return Entry(look)
        return self._kept(look if len(data) == look.size else look.replace(size=len(data)), data)

    def _kept(self, look: FileStat, data: bytes) -> Entry:
        digest, at = self._sha256(data).hexdigest(), self._at
        self._file.write(data)
        self._at += len(data)
        if len(data) <= SMALL and self._in_memory + len(data) <= MOST_IN_MEMORY:
            self._in_memory += len(data)
            self.small[digest] = data
        return Entry(look, digest, at)


def _as_json(kept: Snapshot) -> dict[str, object]:
    return {
        "v": VERSION,
        "globs": kept.globs,
        "spec": kept.spec,
        "entries": {path: [*_values(one.look.__dict__), one.digest, one.at] for path, one in kept.entries.items()},
        "caches": {path: [*_values(one.__dict__)] for path, one in kept.survey.caches.items()},
        "above": kept.survey.above,
        "mounts": kept.survey.mounts,
        "skipped": kept.survey.skipped,
        "startup": kept.startup.asdict(),
    }


def _from_json(body: dict[str, Any]) -> Snapshot:
    def typed(values: list[Any]) -> FileStat:
        kind, *numbers, target = values
        mode, size, mtime_ns, ctime_ns, inode, uid, gid = map(int, numbers)
        return FileStat(str(kind), mode, size, mtime_ns, ctime_ns, inode, uid, gid, str(target))

    entries = {path: Entry(typed(one[:-2]), str(one[-2]), int(one[-1])) for path, one in body["entries"].items()}
    caches = {path: typed(one) for path, one in body["caches"].items()}
    if any(".." in path.split("/") or (os.path.isabs(path) and path != body["spec"]) for path in (*entries, *caches)):
        raise ValueError("a path in it leads out of the project")
    above = {path: int(mode) for path, mode in body["above"].items()}
    mounts = {path: str(real) for path, real in body["mounts"].items()}
    survey = TreeScan({path: one.look for path, one in entries.items()}, caches, above, mounts, tuple(body["skipped"]))
    return Snapshot(tuple(body["globs"]), entries, survey, str(body["spec"]), Startup.of(body["startup"]))
