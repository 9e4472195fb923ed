"""Steps and settings, built from data that was validated: the schema and the rules are not checked again.

What is not written keeps the default of its record.
"""

from __future__ import annotations

from executor.monitoring.model import CHECK_LIMIT_S, Notifier
from executor.plan.model import GIB, Check, Condition, Criterion, Edge, Main, Retry, Settings, Step, TestForm
from executor.system.quantities import parse_duration, parse_size
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from executor.monitoring.model import Monitor
    from executor.plan.step_ids import StepId

    Body = Mapping[str, Any]
    Readers = Mapping[str, tuple[str, Callable[[Any], Any]]]

CHECK_KINDS = ("command", "env_set", "python_import", "file", "disk_free", "gpu_free", "port", "url", "call")
PROSE_KEYS = ("explore", "verify", "estimate")
CRITERION_KINDS = ("file", "command", "matches", "metric", "result")
DONE_BY = ("script", "command", "agent", "runner")
NAME_CHARS = 60


def title_of(slug: str, body: Body) -> str:
    """Return the written title, else the words of the step's key."""
    return str(body.get("title") or slug.replace("_", " ").capitalize())


def build_step(number: StepId, slug: str, body: Body, *, max_output: int = GIB) -> Step:
    """Return the step; `max_output`, in bytes, is for a main that names none."""
    main = body.get("main", {})
    return Step(
        number=number,
        slug=slug,
        title=title_of(slug, body),
        text=str(body.get("text", "")),
        depends_on=tuple(map(build_edge, body.get("depends_on", ()))),
        pre_flight=_checks(body.get("pre_flight", ())),
        main=Main(**{"max_output": max_output, **given(main, _MAIN)}) if any(key in main for key in DONE_BY) else None,
        post_validation=_checks(body.get("post_validation", ())),
        background=_monitors(body.get("background", ())),
        condition=_condition(body["if"]) if "if" in body else None,
        context=tuple(body.get("context", ())),
    )


def _condition(written: Body) -> Condition:
    limits = {key: value for key, value in written.items() if key not in ("step", "metric")}
    return Condition(written["step"], written["metric"], limits)


def build_settings(written: Body) -> Settings:
    """Return the settings."""
    return Settings(**given(written, _SETTINGS))


def build_edge(written: int | str | Body) -> Edge:
    """Return one entry of depends_on: a number, an id, or {step, until}."""
    return Edge(written) if isinstance(written, (int, str)) else Edge(**written)


def given(written: Body, readers: Readers) -> dict[str, Any]:
    """Return the fields of a record that are written; `readers` names field and conversion of each key."""
    return {field: read(written[key]) for key, (field, read) in readers.items() if key in written}


def same(*keys: str) -> Readers:
    """Return the readers of keys whose field has their name and value; a list becomes a tuple."""
    return {key: (key, _frozen) for key in keys}


def first_key(written: Body, keys: Sequence[str]) -> str:
    """Return the first of the keys that is written, empty without one."""
    return next((key for key in keys if key in written), "")


def seconds(written: float | str) -> float:
    """Return a validated time in seconds."""
    return float(parse_duration(written) or 0)


def name_from(text: str) -> str:
    """Return a name made of a text: on one line, cut."""
    return " ".join(text.split())[:NAME_CHARS]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _checks(written: Sequence[Body]) -> tuple[Check, ...]:
    return tuple(map(_check, written))


def _check(written: Body) -> Check:
    key = first_key(written, (*CHECK_KINDS, *PROSE_KEYS))
    kind = "prose" if key in PROSE_KEYS else key
    return Check(
        name=written.get("task") or _check_name(written, key), kind=kind, asks=written[key], **given(written, _CHECK)
    )


def _check_name(written: Body, key: str) -> str:
    """Return a name for a check without one: its prose, else its question."""
    prose = next((written[name] for name in PROSE_KEYS if name in written), None)
    asks = written[key]
    return name_from(prose or (f"{key} {asks}" if isinstance(asks, str | int) else key))


def _criterion(written: str | Body) -> Criterion:
    if isinstance(written, str):
        return Criterion(written)
    kind = first_key(written, CRITERION_KINDS) or "prose"
    return Criterion(written["criterion"], kind, written.get(kind), **given(written, _CRITERION))


def _test_form(written: str | Body) -> TestForm:
    if isinstance(written, str):
        return TestForm(form=written)
    form = first_key(written, ("command", "args")) or "default"
    return TestForm(form=form, **given(written, _TEST))


def _limits(written: Body) -> Body | None:
    """Return the limits with their times in seconds."""
    times = ("seconds", "stall", "command")
    return {key: seconds(value) if key in times else value for key, value in written.items()} or None


def _monitors(written: Sequence[Body]) -> tuple[Monitor, ...]:
    """Return the monitors of a step; the rules of monitors are imported for a step that has some."""
    if not written:
        return ()
    from executor.plan.build_monitors import build_monitors

    return build_monitors(written)


def _notifiers(written: str | Body | list[str | Body]) -> tuple[Notifier, ...]:
    return tuple(map(_notifier, written if isinstance(written, list) else [written]))


def _notifier(written: str | Body) -> Notifier:
    if isinstance(written, str):
        name = written.removeprefix("env:")
        return Notifier("url" if name == written else "env", name)
    kind = first_key(written, ("command", "url", "env"))
    return Notifier(kind, written[kind], **given(written, same("on", "env") if kind == "command" else same("on")))


def _texts(written: str | list[str]) -> tuple[str, ...]:
    return (written,) if isinstance(written, str) else tuple(written)


def _strings(written: list[str | int]) -> tuple[str, ...]:
    return tuple(map(str, written))


def _or_none(written: Body) -> Body | None:
    return written or None


_CHECK: Readers = {
    "timeout": ("limit_s", lambda written: min(seconds(written), CHECK_LIMIT_S)),
    **same("parallel", "when", "env", "network"),
}
_CRITERION = same("any_age", "at", "env", "network")
_TEST: Readers = {"args": ("args", _strings), "timeout": ("limit_s", seconds), **same("command")}
_MAIN: Readers = {
    **same("script", "command", "objective", "agent", "skills", "runner", "model", "mode", "on_lost", "rows"),
    **same("checkpoint_every", "env", "inputs", "outputs", "params", "matrix", "resources"),
    "exclusive": ("exclusive", _texts),
    "args": ("args", _strings),
    "env_file": ("env_file", _texts),
    "timeout": ("limit_s", seconds),
    "test": ("sample", _test_form),
    "retry": ("retry", lambda written: Retry(**given(written, same("attempts", "on")))),
    "success_criteria": ("criteria", lambda written: tuple(map(_criterion, written))),
    "max_output": ("max_output", lambda written: int(parse_size(written) or 0)),
    "chunks": ("chunks", lambda written: tuple(chunk["size"] for chunk in written)),
    "quality_check": ("quality_check", _checks),
    "judge": ("judge", _or_none),
    "sandbox": ("sandbox", _or_none),
    "limits": ("limits", _limits),
}
_SETTINGS: Readers = {
    **same("version", "runner", "model", "python", "strict", "on_change", "plan", "protect", "log_processors", "env"),
    **same("agent_from_text", "commit"),
    **same("max_parallel", "capacity", "judge", "sandbox", "context"),
    "params": ("params", _or_none),
    "max_output": ("max_output", lambda written: int(parse_size(written) or 0)),
    "notify": ("notify", _notifiers),
    "limits": ("limits", _limits),
}
