"""References in a step, `${params.lr}` and `${steps.9.metrics.acc}`: found, checked, replaced by values."""

from __future__ import annotations

from executor.plan.issues import ValidationIssue
from executor.plan.params import text_of, variable_of
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import did_you_mean

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import Any

    from executor.plan.issues import Path
    from executor.plan.model import Step
    from executor.plan.params import Param, Value

    Body = Mapping[str, Any]
    Lookup = Callable[[str], Value | None]  # by the words of a reference, such as params.lr

REFERENCE = lazy_regex.pattern(r"\$\{((?:params|steps)\.[^{}]*)\}")  # no shell variable has a dot in its name
_PARAM = lazy_regex.pattern(r"params\.([A-Za-z][A-Za-z0-9_-]*)")
_METRIC = lazy_regex.pattern(r"steps\.([^{}\s]+?)\.metrics\.([^{}\s]+)")
# A text of these alone means the same to a shell in any quotes, and without.
_PLAIN = lazy_regex.pattern(r"[A-Za-z0-9_@%+=:,./-]+")
# Keys of a step, and of its main, in which references are replaced.
OF_STEP = ("pre_flight", "main", "post_validation", "background", "if")
OF_MAIN = ("args", "command", "objective", "test", "success_criteria", "quality_check", "inputs", "outputs", "rows")
# Keys whose text a shell reads.
SHELL = frozenset(("command", "monitor", "check", "alert"))
# Keys of numbers: a value that stands alone there keeps its type.
NUMBERS = frozenset(
    (
        *("below", "above", "at_least", "at_most", "equals", "min", "max", "min_count", "min_gb", "count", "port"),
        *("disk_free", "gpu_free", "status", "max_utilization", "total"),
    )
)


class Filled(Record):
    """A step with values in place of references: those used, by reference, and the references without a value."""

    body: Body
    used: Mapping[str, Value] = {}
    missing: tuple[str, ...] = ()
    unsafe: tuple[str, ...] = ()


class _Filling:
    """The replacement of the references in one body."""

    def __init__(self, look: Lookup) -> None:
        self._look = look
        self.used: dict[str, Value] = {}
        self.missing: list[str] = []
        self.unsafe: list[str] = []

    def step(self, body: Body) -> dict[str, Any]:
        return {key: self._section(key, one) for key, one in body.items()}

    def _section(self, key: str, one: Any) -> Any:
        if key == "main" and isinstance(one, dict):
            return {inner: self.value(inner, value) if inner in OF_MAIN else value for inner, value in one.items()}
        return self.value(key, one) if key in OF_STEP else one

    def value(self, key: str, one: Any, *, shell: bool = False) -> Any:
        shell = shell or key in SHELL
        if isinstance(one, dict):
            return {inner: self.value(inner, value, shell=shell) for inner, value in one.items()}
        if isinstance(one, list):
            return [self.value(key, value, shell=shell) for value in one]
        return self._text(key, one, shell=shell) if isinstance(one, str) and "${" in one else one

    def _text(self, key: str, text: str, *, shell: bool) -> Any:
        whole = REFERENCE.fullmatch(text) if key in NUMBERS else None
        if whole:
            value = self._value(whole)
            return text if value is None else value
        return REFERENCE.sub(lambda found: self._inserted(found, shell=shell), text)

    def _value(self, found: re.Match[str]) -> Value | None:
        name = found[1]
        value = self._look(name)
        if value is None:
            self.missing.append(name)
        else:
            self.used[name] = value
        return value

    def _inserted(self, found: re.Match[str], *, shell: bool) -> str:
        value = self._value(found)
        if value is None:
            return found[0]
        text = text_of(value)
        if shell and not _PLAIN.fullmatch(text):
            self.unsafe.append(found[1])
            return found[0]
        return text


def mentions(body: Body) -> bool:
    """Return True for a step that has a reference."""
    text = repr(body)
    return "${params." in text or "${steps." in text


def fill(body: Body, look: Lookup) -> Filled:
    """Return a step with its references replaced; one without a value stays as it is written.

    A command takes only values that a shell reads as plain text; another stays unreplaced there, and is `unsafe`.
    """
    filling = _Filling(look)
    filled = filling.step(body)
    return Filled(filled, filling.used, tuple(dict.fromkeys(filling.missing)), tuple(dict.fromkeys(filling.unsafe)))


def in_main(body: Body) -> frozenset[str]:
    """Return the references in what MAIN does: its arguments, command, objective and files."""
    main = body.get("main")
    work = {key: main[key] for key in (*OF_MAIN[:3], *OF_MAIN[6:]) if key in main} if isinstance(main, dict) else {}
    return frozenset(found[1] for found in REFERENCE.finditer(repr(work)))


def metric_of(name: str) -> tuple[str, str] | None:
    """Return step and metric of a reference `steps.9.metrics.acc`, None for another."""
    found = _METRIC.fullmatch(name)
    return (found[1], found[2]) if found else None


def param_of(name: str) -> str:
    """Return the parameter of a reference `params.lr`, empty for another."""
    found = _PARAM.fullmatch(name)
    return found[1] if found else ""


def unsafe_message(name: str) -> str:
    """Return the message for a value that no shell command may contain."""
    variable = f', or write "${{{variable_of(param_of(name))}}}" in the command' if param_of(name) else ""
    return f"the value of {name} has characters that a shell would read: put it in args{variable}"


def examples(params: Mapping[str, Param]) -> Lookup:
    """Return the lookup for validation: defaults, a value of the type where there is none, 1 for a metric."""

    def look(name: str) -> Value | None:
        if metric_of(name):
            return 1
        param = params.get(param_of(name))
        return param.example if param else None

    return look


def reference_issues(body: Body, params: Mapping[str, Param], steps: Collection[str]) -> Iterator[ValidationIssue]:
    """Yield the references that name nothing or stand where none is replaced, by path inside the step.

    `steps` are the ids of the defined steps.
    """
    for path, text in _texts((), body):
        for found in REFERENCE.finditer(text):
            message = _fault(found[1], params, steps) or ("" if _is_replaced(path) else _misplaced(path))
            if message:
                yield ValidationIssue(path, f"{found[0]}: {message}")


def unknown_params(body: Body, params: Mapping[str, Param] | None) -> Iterator[ValidationIssue]:
    """Yield the names in `main.params` that the settings do not declare, by path inside the step."""
    main = body.get("main")
    listed = main.get("params") if isinstance(main, dict) else None
    if not isinstance(listed, list) or params is None:
        return
    for place, name in enumerate(listed):
        message = _fault(f"params.{name}", params, ())
        if message:
            yield ValidationIssue(("main", "params", place), message)


def _texts(path: Path, one: Any) -> Iterator[tuple[Path, str]]:
    if isinstance(one, str):
        if "${" in one:
            yield path, one
    elif isinstance(one, dict | list):
        for key, inner in one.items() if isinstance(one, dict) else enumerate(one):
            yield from _texts((*path, key), inner)


def _fault(name: str, params: Mapping[str, Param], steps: Collection[str]) -> str:
    metric = metric_of(name)
    if metric:
        return "" if metric[0] in steps else f"step {metric[0]} is not defined{did_you_mean(metric[0], steps)}"
    if not param_of(name):
        return "write ${params.NAME} or ${steps.NUMBER.metrics.NAME}"
    if param_of(name) in params:
        return ""
    known = did_you_mean(param_of(name), params) or (f"; known: {', '.join(params)}" if params else "")
    return f"no such parameter in settings.params{known}"


def _is_replaced(path: Path) -> bool:
    if path[0] != "main":
        return path[0] in OF_STEP
    return len(path) > 1 and path[1] in OF_MAIN


def _misplaced(path: Path) -> str:
    where = ".".join(map(str, path[:2])) if path[0] == "main" else str(path[0])
    return f"is not replaced in {where}: only in {', '.join(OF_MAIN)} of main, and in checks and criteria"


def undeclared_needs(body: Body, step: Step) -> Iterator[ValidationIssue]:
    """Yield a warning for each metric of a step that `depends_on` does not name, by path inside the step."""
    needs = {str(edge.step) for edge in step.depends_on}
    if step.condition and str(step.condition.step) not in needs:
        message = f"add {step.condition.step} to depends_on, so that it runs first"
        yield ValidationIssue(("if", "step"), message, severity="warning")
    for path, text in _texts((), body):
        for found in REFERENCE.finditer(text):
            metric = metric_of(found[1])
            if metric and metric[0] not in needs:
                message = f"{found[0]}: add {metric[0]} to depends_on, so that it runs first"
                yield ValidationIssue(path, message, severity="warning")


def unsafe_issues(body: Body, unsafe: Collection[str]) -> Iterator[ValidationIssue]:
    """Yield the commands that would insert a value which a shell reads, by path inside the step."""
    for path, text in _texts((), body) if unsafe else ():
        for found in REFERENCE.finditer(text):
            if found[1] in unsafe and not SHELL.isdisjoint(path):
                yield ValidationIssue(path, unsafe_message(found[1]))
