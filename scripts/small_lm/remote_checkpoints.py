"""A second home for checkpoints, at any fsspec URL."""

from __future__ import annotations

import atexit
import shutil
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

from small_lm import checkpoint_folder, serialization
from small_lm.checkpoint_folder import MANIFEST, NAME, Broken
from small_lm.errors import RETRY_LATER, USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from small_lm.checkpoint_folder import Saved
    from small_lm.disk_space import Alerts, Patience

LONGEST_PAUSE_S = 60.0


class CheckpointMirror:
    """Mirrors a folder in the background: one checkpoint at a time, the newest first, its manifest last.

    `lock` is held while a checkpoint is chosen or removed; the checkpoint in `busy` must not be removed.
    """

    def __init__(self, url: str, folder: Path, *, patience: Patience, alerts: Alerts) -> None:
        self.url, self.folder, self.patience, self.alerts = url, folder, patience, alerts
        self.files, self.root = reach(url)
        self.lock, self.changed = threading.Lock(), threading.Condition()
        self.busy, self.is_over = "", False
        self.step = self.requested = self.done = 0
        self.copied: dict[str, bytes] = {}  # manifests of the complete checkpoints at the URL
        self.worker: threading.Thread | None = None
        self.run = ""
        self.found = self.whole()  # connect now: an unreachable URL must fail before hours of training, not after

    # Reading the second home

    def names(self) -> list[str]:
        """Return the names of the possible checkpoints at the URL, the newest first."""
        self.files.invalidate_cache()
        try:
            listed = [str(path).rsplit("/", 1)[-1] for path in self.files.ls(self.root, detail=False)]
        except FileNotFoundError:
            return []
        return sorted(filter(NAME.fullmatch, listed), key=checkpoint_folder.step_of, reverse=True)

    def at(self, *parts: str) -> str:
        """Return a path at the URL."""
        return "/".join((self.root.rstrip("/"), *parts))

    def manifest(self, name: str) -> bytes:
        """Return the bytes of a manifest at the URL; empty if it is missing, which means an incomplete copy."""
        try:
            content: bytes = self.files.cat_file(self.at(name, MANIFEST))
        except FileNotFoundError:
            return b""
        return content

    def whole(self) -> list[Saved]:
        """Return the complete checkpoints at the URL, the newest first; raise Trouble if it is unreachable."""
        try:
            contents = {name: self.manifest(name) for name in self.names()}
        except Exception as error:
            line = f"the second home {self.url} does not answer ({brief(error)}): try again later, or do without it"
            raise Trouble(line, RETRY_LATER) from error
        return self.parsed(contents)

    def parsed(self, contents: Mapping[str, bytes]) -> list[Saved]:
        """Return the checkpoints of these manifests, without invalid ones."""
        found = []
        for name, content in contents.items():
            try:
                found.append(checkpoint_folder.parse(content, self.folder / name))
            except Broken:
                continue
        return found

    def claim(self, run: str) -> None:
        """Claim the second home for a run; raise Trouble if another run uses it, whose checkpoints would be removed."""
        self.run = run
        self.refuse_others(self.found)

    def refuse_others(self, found: list[Saved]) -> None:
        """Raise Trouble if there are checkpoints of another run."""
        for one in found:
            if one.run != self.run:
                move = "go on from it (resume=always, an empty folder), or name another URL"
                raise Trouble(f"{self.url} holds {one.path.name} of another training: {move}", USAGE)

    # Upload

    def mirror_soon(self, step: int) -> None:
        """Start to copy new checkpoints in the background."""
        if self.worker is None:
            self.worker = threading.Thread(target=self.work, name="second home", daemon=True)
            self.worker.start()
            atexit.register(self.close)
        with self.changed:
            self.step, self.requested = step, self.requested + 1
            self.changed.notify_all()

    def work(self) -> None:
        """Mirror after each change and again after a failure, until `close`."""
        failures = 0
        while not self.is_over:
            with self.changed:
                self.changed.wait_for(lambda: self.requested > self.done or self.is_over)
                goal = self.requested
                if goal <= self.done:  # closed: what happens to the folder now is no longer this training's
                    return
            failures = self.attempt(failures)
            with self.changed:
                self.done = self.done if failures else goal
                self.changed.notify_all()
                pause_s = min(self.patience.retry_s * 2 ** min(failures, 20), LONGEST_PAUSE_S)
                self.changed.wait_for(lambda: self.is_over, pause_s if failures else 0)

    def attempt(self, failures: int) -> int:
        """Mirror; return the number of failures in a row. File systems have their own exceptions, so all are caught."""
        try:
            self.mirror()
        except Exception as error:  # noqa: BLE001
            if not failures:
                move = "training goes on, copying is tried again"
                self.alerts.alert("second_home", f"{self.url} takes no checkpoints ({brief(error)}): {move}", self.step)
            return failures + 1
        if failures:
            self.alerts.alert("second_home_over", f"{self.url} takes checkpoints again", self.step)
        return 0

    def mirror(self) -> None:
        """Copy missing checkpoints, then remove those that no longer exist here.

        Without any checkpoint here none is removed: somebody took the folder away, and these are the only copies.
        """
        names = self.names()
        self.copied = {name: self.copied.get(name) or self.manifest(name) for name in names}
        self.refuse_others(self.parsed(self.copied))
        while name := self.choose():
            try:
                self.copied[name] = self.copy(name)
            finally:
                self.busy = ""
        here = {path.name for path in self.here()}
        for name in self.copied.keys() - here if here else ():
            self.forget(name)
            del self.copied[name]

    def here(self) -> list[Path]:
        """Return the local checkpoints, the newest first."""
        return [path for path in checkpoint_folder.inside(self.folder) if NAME.fullmatch(path.name)]

    def choose(self) -> str:
        """Return the newest checkpoint to copy and mark it as busy; empty if there is none."""
        with self.lock:
            for path in self.here():
                content = manifest_here(path)
                if content and self.copied.get(path.name) != content:
                    self.busy = path.name
                    return self.busy
        return ""

    def copy(self, name: str) -> bytes:
        """Copy one checkpoint; without its manifest the copy counts as incomplete."""
        path = self.folder / name
        content = manifest_here(path)
        self.forget(name)
        self.files.makedirs(self.at(name), exist_ok=True)
        for key in checkpoint_folder.parse(content, path).files:
            self.files.put_file(str(path / key), self.at(name, key))
        self.files.pipe_file(self.at(name, MANIFEST), content)
        return content

    def forget(self, name: str) -> None:
        """Remove a checkpoint at the URL, its manifest first."""
        for path in (self.at(name, MANIFEST), self.at(name)):
            if self.files.exists(path):
                self.files.rm(path, recursive=True)

    def wait(self, limit_s: float | None = None) -> bool:
        """Wait until all is copied; return False if the limit ends the wait."""
        limit_s = self.patience.home_limit_s if limit_s is None else limit_s
        with self.changed:
            return self.changed.wait_for(lambda: self.done >= self.requested, limit_s)

    def close(self, limit_s: float | None = None) -> None:
        """Wait for the copies, at most `limit_s` (by default that of `patience`), then stop."""
        atexit.unregister(self.close)
        if not self.wait(limit_s):
            self.alerts.alert(
                "second_home", f"{self.url} lacks checkpoints at the end: copy {self.folder} there", self.step
            )
        with self.changed:
            self.is_over, self.worker = True, None
            self.changed.notify_all()

    # Download

    def restore(self) -> set[str]:
        """Copy all complete checkpoints into the folder; return their names."""
        restored = set()
        for one in self.whole():
            try:
                self.fetch(one)
            except Broken as broken:
                print(f"warning: {self.url}/{one.path.name} is skipped: {broken}", file=sys.stderr, flush=True)
            else:
                restored.add(one.path.name)
        return restored

    def fetch(self, one: Saved) -> None:
        """Download one checkpoint, whole or not at all; raise Broken if its digests do not match."""
        beside = checkpoint_folder.hidden(one.path, "writing")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        try:
            for key in (*one.files, MANIFEST):
                self.download(self.at(one.path.name, key), beside / key)
            checkpoint_folder.check(checkpoint_folder.look(beside))
            checkpoint_folder.take_place(beside, one.path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def download(self, there: str, path: Path) -> None:
        """Download one file; raise Broken if it is missing, OSError if the local disk is full."""
        try:
            self.files.get_file(there, str(path))
        except FileNotFoundError as error:
            raise Broken(f"{path.name} is not there") from error
        except OSError:
            raise
        except Exception as error:
            raise Trouble(f"the second home {self.url} fails ({brief(error)}): try again later", RETRY_LATER) from error
        serialization.sync_file(path)


def manifest_here(path: Path) -> bytes:
    """Return the bytes of a local manifest, empty if it is missing."""
    try:
        return (path / MANIFEST).read_bytes()
    except OSError:
        return b""


def reach(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL with the path in it; raise Trouble for a missing package."""
    try:
        return opened(import_module("fsspec.core").url_to_fs, url)
    except ImportError as error:
        raise Trouble(
            f"the second home {url} needs a package ({error}): pip install it, fsspec first", USAGE
        ) from error


def opened(url_to_fs: Callable[[str], tuple[Any, str]], url: str) -> tuple[Any, str]:
    """Return fsspec's file system and path of a URL; raise Trouble for an unknown protocol."""
    try:
        return url_to_fs(url)
    except ValueError as error:
        raise Trouble(f"{url} is no URL of fsspec ({error}): use file:///path, s3://bucket/path, ...", USAGE) from error


def brief(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (str(error).splitlines() or [repr(error)])[0] or repr(error)
