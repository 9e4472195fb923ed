"""Answer one check in a process of its own: `python project_worker.py KIND JSON`, in the project root.

The last line of stdout is one JSON object `{"ok", "expected", "got", "fix"}`. Exit 0 = ok, 1 = not ok, 2 = bad
arguments. The kinds here run in the interpreter of the project: keep to Python 3.8, import nothing of this package.
The other kinds run in the interpreter of do-tasks and use this protocol.
"""

from __future__ import annotations

import json
import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Answer = dict[str, Any]
    Fields = dict[str, Any]

__all__ = ["UnmetError", "asked", "kind_of", "main", "no", "text", "yes"]

MOST_CHARS = 1200  # of a text in an answer; who reads the answer makes one clean line of it
WIDTH = 120


class UnmetError(Exception):
    """Ends a check with a no, from wherever that is known."""

    def __init__(self, expected: str, got: str, fix: str) -> None:
        super().__init__(got)
        self.result = no(expected, got, fix)


def yes(expected: str, got: str) -> Answer:
    return {"ok": True, "expected": short(expected), "got": short(got), "fix": ""}


def no(expected: str, got: str, fix: str) -> Answer:
    return {"ok": False, "expected": short(expected), "got": short(got), "fix": short(fix)}


def short(value: object) -> str:
    """Return a text as one line of MOST_CHARS at most."""
    return " ".join(str(value)[:MOST_CHARS].split())


# The fields of a check


def asked(asks: Any, short: str, known: Sequence[str]) -> Fields:
    """Return the fields of a check; a bare value stands for the field `short`."""
    fields = asks if isinstance(asks, dict) else {short: asks} if short else None
    if fields is None:
        raise UnmetError(f"a mapping of {', '.join(known)}", kind_of(asks), "correct the check in the definitions")
    odd = [str(name) for name in fields if name not in known]
    if odd:
        raise UnmetError(f"only {', '.join(known)}", f"unknown: {', '.join(odd)}", "correct the check's fields")
    return fields


def text(fields: Fields, name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if isinstance(value, str) and value and "\0" not in value:
        return value
    raise UnmetError(f"{name}: a text", f"{name}: {kind_of(value)}", f"give {name} in the definitions")


def kind_of(value: Any) -> str:
    """Return the type and size of a value; the content of a text is left out: it may be an address with a password."""
    nouns = {"str": "a text", "list": "a list", "dict": "a mapping", "NoneType": "nothing"}
    return nouns.get(type(value).__name__) or f"{type(value).__name__} {value!r}"[:WIDTH]


# The project's own code

NAMED_OTHERWISE = {"yaml": "PyYAML", "sklearn": "scikit-learn", "PIL": "Pillow", "cv2": "opencv-python"}
COMPARE: dict[str, Callable[[list[int], list[int]], bool]] = {
    "==": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
    ">=": lambda have, want: have >= want,
    "<=": lambda have, want: have <= want,
    ">": lambda have, want: have > want,
    "<": lambda have, want: have < want,
}


def python_import(asks: Any) -> Answer:
    """Asks: a module, a list of them, or module, version."""
    wanted = asks if isinstance(asks, list) else [asks]
    each = [imported(one) for one in wanted]
    bad = [result for result in each if not result["ok"]]
    if bad or len(each) == 1:
        return (bad or each)[0]
    if not each:
        return no("a module", "an empty list", "name a module")
    return yes("; ".join(result["expected"] for result in each), "; ".join(result["got"] for result in each))


def imported(asks: Any) -> Answer:
    import importlib

    fields = asked(asks, "module", ("module", "version"))
    module, limits = re.fullmatch(r"([^=!<>~\s]*)\s*(.*)", text(fields, "module"), re.DOTALL).groups()  # type: ignore[union-attr]
    limits = text(fields, "version", limits or "any")
    expected = f"import {module}" + f", version {limits}" * (limits != "any")
    from_the_root()
    try:
        found = importlib.import_module(module)
    except BaseException as error:  # noqa: BLE001 - a module may raise anything, SystemExit too
        return no(expected, blamed(error), import_fix(module, error))
    version = version_of(module, found)
    if limits == "any" or fits(version, limits):
        return yes(expected, f"{module} {version}".strip())
    return no(expected, f"{module} {version or 'of no known version'}", installer(module, limits))


def from_the_root() -> None:
    """Import from the working directory too, never from the folder of this file.

    Python's own modules come first, so that no file of the project hides one of them; installed ones come after it.
    """
    here, root = os.path.dirname(os.path.realpath(__file__)), os.getcwd()
    if sys.path and os.path.realpath(sys.path[0]) == here:
        del sys.path[0]
    installed = [at for at, one in enumerate(sys.path) if os.path.basename(one) in ("site-packages", "dist-packages")]
    if root not in sys.path:
        sys.path.insert(installed[0] if installed else len(sys.path), root)


def blamed(error: BaseException) -> str:
    """Return `TypeName: message`, also for an error whose text cannot be made."""
    try:
        return f"{type(error).__name__}: {error}".strip().rstrip(":").splitlines()[0]
    except Exception:  # noqa: BLE001 - its __str__ is not ours
        return type(error).__name__


def import_fix(module: str, error: BaseException) -> str:
    lacking = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    if lacking and (module + ".").startswith(lacking + "."):
        return installer(lacking)
    return installer(lacking) if lacking else f"see why: {sys.executable} -c 'import {module}'"


def installer(module: str, limits: str = "") -> str:
    top = module.partition(".")[0]
    wanted = NAMED_OTHERWISE.get(top, top) + limits
    return f"{sys.executable} -m pip install " + (f"'{wanted}'" if limits else wanted)


def version_of(module: str, found: Any) -> str:
    """Return the version of the distribution that brings a module, else its own word, else nothing."""
    from importlib import metadata

    top = module.partition(".")[0]
    try:
        return metadata.version(NAMED_OTHERWISE.get(top, top)) or ""
    except metadata.PackageNotFoundError:
        pass
    brings: Fields = getattr(metadata, "packages_distributions", dict)()  # from Python 3.10 on
    return metadata.version(brings[top][0]) if top in brings else str(getattr(found, "__version__", ""))


def fits(version: str, limits: str) -> bool:
    """Compare release numbers: 2.1.0+cu121 is 2.1, 2.0rc1 is 2.0."""
    clauses = [re.fullmatch(r"\s*(==|!=|>=|<=|>|<)\s*v?(\d+(?:\.\d+)*)\s*", clause) for clause in limits.split(",")]
    if not all(clauses):
        fix = "use == != >= <= > < before a number, with commas between"
        raise UnmetError("a version such as >=1.2,<2", f"version {limits}", fix)
    have = release(version)
    return have != [] and all(COMPARE[clause[1]](have, release(clause[2])) for clause in clauses if clause)


def release(version: str) -> list[int]:
    digits = re.match(r"v?(\d+(?:\.\d+)*)", version)
    numbers = [int(part) for part in digits[1].split(".")] if digits else []
    while numbers[1:] and not numbers[-1]:
        numbers.pop()
    return numbers


def call(asks: Any) -> Answer:
    """Asks: pkg.mod.func, or target, args (keywords); passes on True, None or {"ok": True}."""
    fields = asked(asks, "target", ("target", "args"))
    target, given = text(fields, "target").replace(":", "."), fields.get("args") or {}
    expected = f"{target} to pass"
    if not isinstance(given, dict):
        return no("args: a mapping of keywords", f"args: {kind_of(given)}", "write args as name: value")
    from_the_root()
    try:
        return judged(expected, function_at(target)(**given))
    except UnmetError:
        raise
    except BaseException as error:  # noqa: BLE001 - a function may raise anything, SystemExit too
        return no(expected, blamed(error), f"look at {scene(error) or target}")


def function_at(target: str) -> Callable[..., Any]:
    """Import as much of a dotted path as is modules, then follow attributes."""
    import importlib

    parts = target.split(".")
    for place in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:place])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if place > 1 and (module + ".").startswith(f"{error.name}."):
                continue
            raise
        for part in parts[place:]:
            found = getattr(found, part)
        return found  # type: ignore[no-any-return]
    raise UnmetError("package.module.function", target, "name a function in a module")


def judged(expected: str, answer: Any) -> Answer:
    if isinstance(answer, dict) and "ok" in answer:
        result = {key: str(answer[key]) for key in ("expected", "got", "fix") if key in answer}
        wanted, got = result.get("expected", expected), result.get("got", f"ok: {answer['ok']}")
        return yes(wanted, got) if is_true(answer["ok"]) else no(wanted, got, result.get("fix", "see what it looks at"))
    if answer is None or is_true(answer):
        return yes(expected, f"returned {answer}")
    return no(expected, f"returned {repr(answer)[:WIDTH]}", "return True or None, or {'ok': ..., 'got': ...}")


def is_true(answer: Any) -> bool:
    """Return True for True, numpy's too, and False for anything that is only truthy."""
    return type(answer).__name__ in ("bool", "bool_") and bool(answer)


def scene(error: BaseException) -> str:
    """Return file:line of the project's frame that raised, else nothing."""
    trace, place = error.__traceback__, ""
    while trace:
        name = trace.tb_frame.f_code.co_filename
        if os.path.isfile(name) and os.path.realpath(name) != os.path.realpath(__file__):
            place = f"{os.path.relpath(name)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


# The answer

KINDS: dict[str, Callable[[Any], Answer]] = {"python_import": python_import, "call": call}


def replied(answer: Callable[[Any], Answer], kind: str, asks: Any) -> Answer:
    try:
        return answer(asks)
    except UnmetError as ended:
        return ended.result
    except BaseException as error:  # noqa: BLE001 - whatever happens, the asker gets an answer
        return no(f"an answer to {kind}", blamed(error), "correct the check in the definitions, or report this")


def main(arguments: list[str], kinds: Mapping[str, Callable[[Any], Answer]] = KINDS) -> int:
    """Answer on the stdout of the start; return 0 = ok, 1 = not, 2 = bad arguments."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what imported code prints goes to stderr, so the answer stays the last line
    try:
        kind, asks = arguments[0], json.loads(*arguments[1:])
        wrong = kind not in kinds
    except (IndexError, TypeError, ValueError, RecursionError):
        wrong = True
    result = (
        no(
            f"KIND JSON, KIND one of {', '.join(kinds)}",
            f"{len(arguments)} arguments, kind {arguments[:1]}",
            "correct the call",
        )
        if wrong
        else replied(kinds[kind], kind, asks)
    )
    sys.stdout.flush()
    os.write(answers, json.dumps(result).encode() + b"\n")
    return 2 if wrong else 0 if result["ok"] else 1


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # at once: threads and exit hooks of imported code cannot hold the answer back
