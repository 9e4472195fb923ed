"""The text editor of an agent: it replaces a file of the project as a whole, or does not change it."""

from __future__ import annotations

import os
import stat

from executor.errors import MachineError
from executor.guard.file_state import is_within
from executor.runners.agent import edits
from executor.runners.agent.edits import RefusedError
from executor.runners.agent.tools import ToolResult
from executor.system import files
from executor.system.masking import MASK
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from executor.system.masking import Masker

MOST_BYTES = 1024**2
ENTRIES = 500
LEVELS = 2
AROUND = 4
WANTED = 'command must be "view", "create", "str_replace" or "insert"'


class Editor:
    """Views and changes files below `root`, except the `hidden` ones.

    `refuses` returns the reason why a path, relative to the project, must not be written; empty when it may be.
    """

    def __init__(
        self,
        *,
        root: str,
        refuses: Callable[[str], str],
        views_only: bool,
        masker: Masker,
        hidden: Iterable[str] = (),
    ) -> None:
        self._root = os.path.realpath(root)
        self._written = os.path.abspath(root)
        self._refuses = refuses
        self._views_only = views_only
        self._masker = masker
        self._hidden = tuple(map(os.path.realpath, hidden))

    def __call__(self, given: Mapping[str, Any]) -> ToolResult:
        """Run one call of the model; any input gets a result."""
        try:
            return self._result(self._done(given))
        except RefusedError as refused:
            return self._result(str(refused), failed=True)
        except (OSError, MachineError) as error:
            return self._result(f"not done: {getattr(error, 'strerror', None) or error}", failed=True)
        except RecursionError:
            return self._result("not done: the path has too many folders or links", failed=True)

    def _result(self, text: str, *, failed: bool = False) -> ToolResult:
        return ToolResult(self._masker.mask(clean_control(text)), failed=failed)

    def _done(self, given: Mapping[str, Any]) -> str:
        command = given.get("command") if isinstance(given, dict) else None
        if command == "view":
            return self._view(given)
        writes = {"create": self._create, "str_replace": self._replace, "insert": self._insert}
        if not isinstance(command, str) or command not in writes:
            raise RefusedError(WANTED)
        if self._views_only:
            raise RefusedError("this role may view files, not write them")
        return writes[command](given, self._for_writing(edits.text_in(given, "path")))

    def _view(self, given: Mapping[str, Any]) -> str:
        path = self._resolved(edits.text_in(given, "path"))
        if os.path.isdir(path):
            return self._listed(path)
        lines = edits.lines_of(self._veiled(self._text(path)))
        first, last = edits.span(given.get("view_range"), len(lines)) if lines else (1, 0)
        return edits.numbered(lines, first, last) if lines else f"{self._named(path)} is empty"

    def _create(self, given: Mapping[str, Any], path: str) -> str:
        text = edits.text_in(given, "file_text")
        exists = os.path.lexists(path)
        before = self._text_before(path) if exists else ""
        self._keep_secrets(before, text)
        self._write(path, edits.with_eol(text, edits.eol_of(before)))
        return f"{self._named(path)} {'written anew' if exists else 'created'}"

    def _replace(self, given: Mapping[str, Any], path: str) -> str:
        before = self._text(path)
        eol = edits.eol_of(before)
        old = edits.with_eol(edits.text_in(given, "old_str"), eol)
        new = edits.with_eol(edits.text_in({"new_str": "", **given}, "new_str"), eol)
        after, line = edits.replaced(before, old, new)
        self._keep_secrets(before, new)
        return self._changed(path, after, line, line + new.count("\n"))

    def _insert(self, given: Mapping[str, Any], path: str) -> str:
        text = edits.text_in(given, "insert_text")
        after, line = edits.inserted(self._text(path), text, given.get("insert_line"))
        return self._changed(path, after, line, line + text.count("\n"))

    def _changed(self, path: str, text: str, first: int, last: int) -> str:
        """Write the text and return the lines that changed, with those around them."""
        self._write(path, text)
        lines = edits.lines_of(self._veiled(text))
        near = edits.numbered(lines, max(1, first - AROUND), min(len(lines), last + AROUND))
        return f"{self._named(path)} changed:\n{near}" if near else f"{self._named(path)} is empty now"

    def _resolved(self, path: str) -> str:
        """Return the real path; RefusedError when it is hidden or outside the project."""
        if not _is_path(path):
            raise RefusedError("path must be that of a file or folder, from the project's folder")
        real = os.path.realpath(os.path.join(self._root, path))
        if real in self._hidden:
            raise RefusedError(
                f"{path} may hold secrets, which no agent is shown, unless sandbox: {{read: [...]}} names it"
            )
        if not is_within(real, self._root):
            raise RefusedError(f"{path} is not in the project, or leads out of it; give a path in {self._root}")
        return real

    def _for_writing(self, path: str) -> str:
        """Return the real path to write; RefusedError when that path, or the given one, is protected."""
        real = self._resolved(path)
        for place in (self._as_written(path), os.path.relpath(real, self._root)):
            reason = self._refuses(place) if place else ""
            if reason:
                raise RefusedError(f"{path} is not changed: {reason}")
        if os.path.isdir(real):
            raise RefusedError(f"{path} is a folder: give the path of a file")
        return real

    def _as_written(self, path: str) -> str:
        """Return a path relative to the project, links not followed; empty for one outside."""
        for root in (self._root, self._written):
            plain = os.path.normpath(os.path.join(root, path))
            if is_within(plain, root):
                return os.path.relpath(plain, root)
        return ""

    def _named(self, path: str) -> str:
        return os.path.relpath(path, self._root) if is_within(path, self._root) else path

    def _text(self, path: str) -> str:
        """Return the text of a file that can be viewed or changed."""
        if not os.path.lexists(path):
            raise RefusedError(f"there is no {self._named(path)}: view its folder, or create it")
        if _size(path, self._named(path)) > MOST_BYTES:
            raise RefusedError(f"{self._named(path)} is larger than 1 MiB: use bash, with head, sed -n or grep -n")
        return edits.decoded(files.read(path), self._named(path))

    def _text_before(self, path: str) -> str:
        """Return the text that is replaced, empty for one that could not be viewed."""
        data = files.read(path) if _size(path, self._named(path)) <= MOST_BYTES else b"\0"
        return "" if b"\0" in data else edits.decoded(data, path)

    def _write(self, path: str, text: str) -> None:
        """Replace a file whole; keep its mode and owner."""
        try:
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise RefusedError("the text holds half a character (a lone surrogate): send it whole") from None
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.realpath(path) != path:
            raise RefusedError(f"{self._named(path)} leads elsewhere by now: view its folder")
        if os.path.exists(path):
            now = os.stat(path)
            files.replace(path, data, mode=stat.S_IMODE(now.st_mode), owner=(now.st_uid, now.st_gid))
        else:
            files.replace(path, data, mode=0o666 & ~_umask())

    def _keep_secrets(self, before: str, new: str) -> None:
        """Refuse a text that would overwrite a secret with the mask that was shown in its place."""
        if MASK in new and self._masker.mask(before).count(MASK) > before.count(MASK):
            raise RefusedError(
                f"this file holds a secret, which is shown as {MASK}; a text with {MASK} would overwrite it:"
                f" change the lines around it, with a text that has no {MASK}"
            )

    def _veiled(self, text: str) -> str:
        """Return the text without secrets, with the same number of lines."""
        plain = clean_control(text.replace("\r\n", "\n"))
        masked = self._masker.mask(plain)
        if masked.count("\n") == plain.count("\n"):
            return masked
        raw = plain.encode()
        veiled = self._masker.mask_bytes_equal_length(raw)
        kept = bytes(old if old == ord("\n") else new for old, new in zip(raw, veiled, strict=True))
        return kept.decode("utf-8", "replace")

    def _listed(self, folder: str) -> str:
        """Return the entries of a folder, two levels deep, without hidden names."""
        found = list(_entries(folder, "", LEVELS))
        more = [f"[{len(found) - ENTRIES:,} more: view a folder in it]"] if len(found) > ENTRIES else []
        return "\n".join((f"{self._named(folder)}/", *found[:ENTRIES], *more))


def _entries(folder: str, prefix: str, levels: int) -> Iterator[str]:
    """Yield the entries of a folder, links not followed; one that may not be read counts as empty."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except PermissionError:
        return
    for name in names:
        path = os.path.join(folder, name)
        inner = os.path.isdir(path) and not os.path.islink(path)
        yield f"{prefix}{name}{'/' if inner else ''}"
        if inner and levels > 1:
            yield from _entries(path, f"{prefix}{name}/", levels - 1)


def _size(path: str, name: str) -> int:
    """Return the size of a regular file; RefusedError for any other, which could block."""
    seen = os.stat(path)
    if not stat.S_ISREG(seen.st_mode):
        raise RefusedError(f"{name} is no regular file: it may be a pipe or a device")
    return seen.st_size


def _is_path(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return bool(path) and "\0" not in path


def _umask() -> int:
    """Return the umask, which can only be read by setting it."""
    now = os.umask(0o077)
    os.umask(now)
    return now
