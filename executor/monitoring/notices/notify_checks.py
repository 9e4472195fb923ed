"""Reasons why a notifier cannot send a notice, as far as they are known beforehand."""

from __future__ import annotations

import os
from importlib.util import find_spec

from executor.monitoring.notices.schemes import SCHEMES
from executor.system.records import TYPE_CHECKING
from executor.system.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.monitoring.model import Notifier

STARTERS = ("exec", "command", "nohup", "env", "time", "nice", "setsid")
INTERPRETERS = ("bash", "sh", "dash", "zsh", "python", "python3", "perl", "ruby", "node")


def trouble(notifier: Notifier, *, root: str, environ: Mapping[str, str]) -> str:
    """Return the reason why a notifier cannot send, with the next move; empty when none is known.

    `environ` is the environment of the notifier. Of a URL only the scheme is quoted.
    """
    if notifier.kind == "command":
        unset = (name for name in notifier.env if not environ.get(name))
        missing = (f"{name} is not set, which it is to be given: export it" for name in unset)
        return next(missing, "") or next(_of_command(notifier.target, root, environ), "")
    if notifier.kind == "url":
        return of_scheme(notifier.target) or _of_apprise()
    url = environ.get(notifier.target, "").strip()
    if not url:
        return f"{notifier.target} is not set: export it before do-tasks starts"
    if not url.partition("://")[0].isidentifier() or "://" not in url:
        return f"{notifier.target} holds no URL (scheme://...): see https://appriseit.com"
    return of_scheme(url) or _of_apprise()


def written_trouble(notifier: Notifier, *, root: str, environ: Mapping[str, str]) -> str:
    """Return the error of a notifier that no environment can cure: an unknown scheme, a missing file."""
    if notifier.kind == "env":
        return ""
    if notifier.kind == "url":
        return of_scheme(notifier.target)
    return next(_of_command(notifier.target, root, environ), "")


def of_scheme(url: str) -> str:
    """Return the error in the scheme of a URL, empty for none; nothing else of the URL is quoted."""
    scheme = url.partition("://")[0].lower()
    if scheme in SCHEMES:
        return ""
    return f"{scheme}:// is no scheme of apprise{did_you_mean(scheme, [*SCHEMES])}; they are at https://appriseit.com"


def _of_apprise() -> str:
    return "" if find_spec("apprise") else "apprise is not there: pip install 'do-tasks[notify]'"


def _of_command(text: str, root: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the error of each program of a command that is missing, as far as the text alone shows it."""
    from executor.system.shell.syntax import parse
    from executor.system.shell.tree import nested

    script = parse(text)
    commands = [*nested(script.parts)] if script else []
    has_functions = any(one.kind == "function" for one in commands)
    for command in commands:
        words = _own_words(command.values) if command.kind == "simple" else []
        if words and words[0] and ("/" in words[0] or not has_functions):
            yield from _of_program(words[0], root, environ)
            if os.path.basename(words[0]) in INTERPRETERS and len(words) > 1:
                yield from _of_script(words[1], root)


def _own_words(values: tuple[str | None, ...]) -> list[str | None]:
    """Return the words of a command without assignments and without programs that only start another one."""
    words = [*values]
    while words and words[0] is not None and (_is_assignment(words[0]) or words[0] in STARTERS):
        del words[0]
    return words


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.rstrip("+").isidentifier()


def _of_program(name: str, root: str, environ: Mapping[str, str]) -> Iterator[str]:
    from shutil import which

    from executor.system.shell.simple_command import is_builtin

    if "/" not in name:
        if not is_builtin(name) and not which(name, path=environ.get("PATH", os.defpath)):
            yield f"{name} is not on the PATH: install it, or correct the name"
        return
    path = os.path.join(root, os.path.expanduser(name))
    if not os.path.isfile(path):
        yield f"{name} is {'a folder' if os.path.isdir(path) else 'not there: write it, or correct the name'}"
    elif not os.access(path, os.X_OK):
        yield f"{name} is not executable: chmod +x {name}"


def _of_script(name: str | None, root: str) -> Iterator[str]:
    """Yield the error of a missing script of an interpreter; options and inline code are no scripts."""
    if not name or name.startswith("-") or not name.endswith((".sh", ".py", ".pl", ".rb", ".js")):
        return
    if not os.path.isfile(os.path.join(root, os.path.expanduser(name))):
        yield f"{name} is not there: write it, or correct the name"
