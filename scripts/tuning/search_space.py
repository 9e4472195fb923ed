"""The search space of a study, as YAML: `learning_rate: {float: [1e-4, 1e-2], log: true}`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.config import did_you_mean, is_number
from common.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from optuna.trial import Trial

KINDS = ("categorical", "int", "float")
OPTIONS = ("log", "step", "when")
FORM = "write one of categorical: [a, b], int: [low, high], float: [low, high]; then log: true, step: N, when: {...}"


@dataclass(frozen=True)
class Parameter:
    """One dimension: a choice of values, or a range with both ends included.

    `when` names the values of earlier parameters under which it exists: `{optimizer: [sgd]}`.
    """

    name: str
    kind: str
    values: tuple[Any, ...]
    log: bool = False
    step: float | None = None
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def applies(self, chosen: Mapping[str, Any]) -> bool:
        """Return True if the values chosen so far give this parameter a meaning."""
        return all(chosen.get(name) in allowed for name, allowed in self.when.items())

    def suggest(self, trial: Trial) -> Any:
        """Return the value that the sampler suggests."""
        if self.kind == "categorical":
            return trial.suggest_categorical(self.name, self.values)
        low, high = self.values
        if self.kind == "int":
            return trial.suggest_int(self.name, low, high, step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.name, low, high, step=self.step, log=self.log)


def suggest(space: tuple[Parameter, ...], trial: Trial) -> dict[str, Any]:
    """Return the values of a trial; a conditional parameter is absent where it has no meaning."""
    chosen: dict[str, Any] = {}
    for parameter in space:
        if parameter.applies(chosen):
            chosen[parameter.name] = parameter.suggest(trial)
    return chosen


def kind_of(one: Parameter) -> tuple[Any, ...]:
    """Return the part of a parameter that no study changes: its range may be moved, its choices may not."""
    return (one.kind, one.log, one.values if one.kind == "categorical" else ())


def as_written(space: tuple[Parameter, ...]) -> dict[str, Any]:
    """Return a space as a study file has it."""
    written: dict[str, Any] = {}
    for one in space:
        options = {"log": one.log, "step": one.step, "when": {name: list(values) for name, values in one.when.items()}}
        written[one.name] = {one.kind: list(one.values), **{key: value for key, value in options.items() if value}}
    return written


def changed(written: Any, change: Any, origin: str) -> dict[str, Any]:
    """Return a space as a study file has it with `space.NAME.KEY=value` of the command line laid over it."""
    if not isinstance(change, dict):
        raise Trouble(f"{origin}: write space.NAME.KEY=value, as space.layers.int=[1,4]", USAGE)
    space = dict(written) if isinstance(written, dict) else {}
    for name, body in change.items():
        old = space.get(name)
        space[name] = {**old, **body} if isinstance(old, dict) and isinstance(body, dict) else body
    return space


def read(written: Any, origin: str) -> tuple[Parameter, ...]:
    """Return the parameters of the `space` of a study file; raise Trouble for what cannot be searched."""
    if not isinstance(written, dict) or not written:
        raise Trouble(f"{origin}: space must map each parameter to its range; {FORM}", USAGE)
    found: dict[str, Parameter] = {}
    for name, body in written.items():
        found[str(name)] = _parameter(str(name), body, found, f"{origin}: space.{name}")
    return tuple(found.values())


def _parameter(name: str, body: Any, earlier: Mapping[str, Parameter], origin: str) -> Parameter:
    if not isinstance(body, dict):
        raise Trouble(f"{origin} must be a mapping; {FORM}", USAGE)
    for key in body:
        if key not in (*KINDS, *OPTIONS):
            raise Trouble(f"{origin}: no key {key!r}{did_you_mean(str(key), (*KINDS, *OPTIONS))}; {FORM}", USAGE)
    kinds = [kind for kind in KINDS if kind in body]
    if len(kinds) != 1:
        raise Trouble(f"{origin} has {' and '.join(kinds) or 'no range'}; {FORM}", USAGE)
    made = Parameter(
        name,
        kinds[0],
        _values(kinds[0], body[kinds[0]], origin),
        log=_flag(body.get("log", False), origin),
        step=body.get("step"),
        when={str(key): allowed for key, allowed in _conditions(body.get("when") or {}, earlier, origin)},
    )
    for problem in _problems(made):
        raise Trouble(f"{origin}{problem}", USAGE)
    return made


def _flag(value: Any, origin: str) -> bool:
    if not isinstance(value, bool):
        raise Trouble(f"{origin}.log must be true or false, got {value!r}", USAGE)
    return value


def _values(kind: str, written: Any, origin: str) -> tuple[Any, ...]:
    if not isinstance(written, list) or not written:
        raise Trouble(f"{origin}.{kind} must be a list, got {written!r}; {FORM}", USAGE)
    if kind == "categorical":
        odd = next((one for one in written if not isinstance(one, (str, int, float, bool, type(None)))), None)
        if odd is not None:
            raise Trouble(f"{origin}.categorical holds {odd!r}: use texts, numbers, true, false or null", USAGE)
        return tuple(written)
    if len(written) != 2 or not all(map(is_number, written)):
        raise Trouble(f"{origin}.{kind} must be [low, high], got {written!r}", USAGE)
    low, high = map(float, written)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise Trouble(f"{origin}.{kind} must have finite ends, got {written!r}", USAGE)
    if kind == "int" and not (low.is_integer() and high.is_integer()):
        raise Trouble(f"{origin}.int must have whole numbers, got {written!r}", USAGE)
    return (int(low), int(high)) if kind == "int" else (low, high)


def _conditions(written: Any, earlier: Mapping[str, Parameter], origin: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if not isinstance(written, dict):
        raise Trouble(f"{origin}.when must be a mapping, as when: {{optimizer: [sgd]}}", USAGE)
    for name, allowed in written.items():
        if name not in earlier:
            near = did_you_mean(str(name), earlier) or "; name a parameter that stands before this one"
            raise Trouble(f"{origin}.when: no earlier parameter {name!r}{near}", USAGE)
        wanted = tuple(allowed) if isinstance(allowed, list) else (allowed,)
        choices = earlier[str(name)]
        odd = [one for one in wanted if choices.kind == "categorical" and one not in choices.values]
        if odd:
            raise Trouble(f"{origin}.when: {name} is never {odd[0]!r}; it is one of {list(choices.values)}", USAGE)
        yield str(name), wanted


def _problems(made: Parameter) -> Iterator[str]:
    """Yield the problems of a parameter, each as the end of a sentence."""
    if made.kind == "categorical":
        if made.log or made.step is not None:
            yield ": log and step belong to int and float"
        if len(set(map(repr, made.values))) < len(made.values):
            yield ".categorical names a value twice"
        return
    low, high = made.values
    if low > high:
        yield f".{made.kind}: low {low} is above high {high}"
    if made.log and low <= 0:
        yield f".{made.kind}: a logarithmic range begins above 0, got {low}"
    if made.step is not None and (not is_number(made.step) or made.step <= 0):
        yield f".step must be a number above 0, got {made.step!r}"
    elif made.step is not None and made.log:
        yield ": log and step exclude each other"
    elif made.step is not None and made.kind == "int" and made.step != int(made.step):
        yield f".step of an int must be a whole number, got {made.step!r}"
