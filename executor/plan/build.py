"""Loaded data becomes the values of `steps`, defaults filled in."""

from __future__ import annotations

from executor.monitoring.model import CHECK_LIMIT_S, NOTICES, Monitor, Notifier
from executor.plan.fields import NAME_CHARS, Field
from executor.plan.model import (
    GIB,
    MAIN_LIMIT_S,
    TEST_LIMIT_S,
    Check,
    Criterion,
    Edge,
    Main,
    Retry,
    Settings,
    Step,
    TestForm,
)
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

CHECK_KINDS = ("command", "env_set", "python_import", "file", "disk_free", "gpu_free", "port", "url", "call")
PROSE_KEYS = ("explore", "verify", "estimate")
CRITERION_KINDS = ("file", "command", "matches", "metric", "result")
ON_CHANGE = ("note", "reopen")
MODES = ("normal", "background", "chunked")
PLACE = "{chunk}"
UNTIL = ("started", "first_checkpoint", "finished")


def title_of(slug: str, data: Mapping[str, Any]) -> str:
    """Return the written title, else the words of the step's key."""
    title = data.get("title")
    return title if isinstance(title, str) and title else slug.replace("_", " ").capitalize()


def build_step(number: int, slug: str, data: Mapping[str, Any], *, max_output: int = GIB) -> Step:
    """Return the step; ValidationIssueError, with its path from the top of the file, for what no default can mend.

    `max_output` is what the settings say, in bytes, for a main that says nothing.
    """
    step = Field(data, (f"step_{number}_{slug}",))
    return Step(
        number=number,
        slug=slug,
        title=title_of(slug, data),
        depends_on=tuple(edge(item) for item in step["depends_on"].items()),
        pre_flight=_checks(step["pre_flight"]),
        main=_main(step["main"], max_output),
        post_validation=_checks(step["post_validation"]),
        background=_monitors(step),
    )


def build_settings(data: object) -> Settings:
    """Return the settings, where `data` is None or what stands under `settings`; ValidationIssueError as build_step."""
    spot = Field(data, ("settings",))
    if spot["version"].whole(1) != 1:
        spot["version"].refuse("must be 1: a newer do-tasks wrote this, or the number is wrong")
    return Settings(
        runner=spot["runner"].text(),
        model=spot["model"].text(),
        python=spot["python"].text(),
        strict=spot["strict"].truth(Settings.strict),
        on_change=spot["on_change"].choice(ON_CHANGE),
        protect=spot["protect"].texts(),
        log_processors=spot["log_processors"].texts(),
        env=None if spot["env"].data is None else spot["env"].texts(),
        max_parallel=spot["max_parallel"].whole(Settings.max_parallel),
        max_output=spot["max_output"].size(GIB),
        notify=_notifiers(spot["notify"]),
        **{key: spot[key].data for key in ("judge", "sandbox")},
        limits=_limits(spot["limits"]),
    )


def edge(spot: Field) -> Edge:
    """Return one entry of depends_on: a number, or {step, until}."""
    if not isinstance(spot.data, dict):
        return Edge(spot.whole(-1, least=0))
    until = spot["until"]
    return Edge(spot["step"].whole(-1, least=0), "finished" if until.data is None else until.choice(UNTIL))


def _checks(spot: Field) -> tuple[Check, ...]:
    return tuple(_check(item) for item in spot.items())


def _check(spot: Field) -> Check:
    kind, key = _asked(spot)
    asks = spot[key].text() if kind in ("command", "prose") else spot[key].data
    return Check(
        name=spot["task"].text() or _name(spot, key),
        kind=kind,
        asks=asks,
        limit_s=min(spot["timeout"].seconds(CHECK_LIMIT_S), CHECK_LIMIT_S),
        parallel=spot["parallel"].truth(Check.parallel),
        when="end" if spot["when"].data is None else spot["when"].choice(("start", "end")),
        env=spot["env"].texts(),
        network=spot["network"].truth(Check.network),
    )


def _asked(spot: Field) -> tuple[str, str]:
    """Return the kind of a check, and the key under which its question stands."""
    written = spot.mapping()
    kinds = [kind for kind in CHECK_KINDS if written.get(kind) is not None]
    if len(kinds) > 1:
        spot.refuse(f"asks {len(kinds)} questions: {', '.join(kinds)}; make each a check of its own")
    if kinds:
        return kinds[0], kinds[0]
    prose = next((key for key in PROSE_KEYS if written.get(key) is not None), None)
    return ("prose", prose) if prose else spot.refuse(f"asks nothing: give it one of {', '.join(CHECK_KINDS)}")


def _name(spot: Field, key: str) -> str:
    """Return a name for what has none: its prose, else its question."""
    told = next((name for name in PROSE_KEYS if isinstance(spot.data.get(name), str)), key)
    asks = spot.data[told]
    text = asks if told in PROSE_KEYS else f"{told} {asks}" if isinstance(asks, str | int) else told
    return " ".join(text.split())[:NAME_CHARS]


def _main(spot: Field, max_output: int) -> Main | None:
    if not any(spot[key].data is not None for key in ("script", "command", "agent", "runner")):
        spot.mapping()
        return None
    skills = spot["skills"]
    return Main(
        script=spot["script"].text(),
        command=_command(spot),
        args=_args(spot["args"]),
        objective=spot["objective"].text(),
        agent=spot["agent"].text(),
        skills=None if skills.data is None else skills.texts(),
        runner=spot["runner"].text(),
        mode=spot["mode"].choice(MODES),
        limit_s=spot["timeout"].seconds(MAIN_LIMIT_S),
        sample=_sample(spot["test"]),
        retry=_retry(spot["retry"]),
        criteria=tuple(_criterion(item, spot["mode"].data) for item in spot["success_criteria"].items()),
        on_lost=spot["on_lost"].choice(("rerun", "ask")),
        max_output=spot["max_output"].size(max_output),
        chunks=_chunks(spot),
        rows=_rows(spot),
        checkpoint_every=spot["checkpoint_every"].whole(0, least=0),
        quality_check=_checks(spot["quality_check"]),
        model=spot["model"].text(),
        env=spot["env"].texts(),
        inputs=spot["inputs"].texts(),
        outputs=spot["outputs"].texts(),
        env_file=(spot["env_file"].text(),) if isinstance(spot["env_file"].data, str) else spot["env_file"].texts(),
        **{key: spot[key].mapping() or None for key in ("judge", "sandbox")},
        limits=_limits(spot["limits"]) or None,
    )


def _limits(spot: Field) -> Mapping[str, Any] | None:
    """Return the limits with their times in seconds."""
    times = {key: spot[key].seconds(0.0) for key in ("seconds", "stall", "command") if spot[key].data is not None}
    return None if spot.data is None else {**spot.mapping(), **times}


def _command(spot: Field) -> str:
    if spot["script"].data is not None and spot["command"].data is not None:
        spot["command"].refuse("stands beside script: keep one of the two")
    return spot["command"].text()


def _args(spot: Field) -> tuple[str, ...]:
    """Return arguments as they were written; a number with a point would change its spelling."""
    for item in spot.items():
        if isinstance(item.data, bool) or not isinstance(item.data, str | int):
            item.refuse(f"must be text or a whole number, got {quoted(item.data)}: quote it")
    return tuple(str(item.data) for item in spot.items())


def _chunks(spot: Field) -> tuple[int, ...]:
    sizes = tuple(item["size"].whole(0) for item in spot["chunks"].items())
    if sizes and spot["mode"].data != "chunked":
        spot["chunks"].refuse("needs mode: chunked")
    if spot["mode"].data == "chunked" and not sizes:
        spot["mode"].refuse("needs chunks: a list such as [{size: 100}, {size: 900}]")
    return sizes


def _rows(spot: Field) -> str:
    """Return the file that a chunk's rows go to; each chunk has one of its own, so that what was accepted stays."""
    text = spot["rows"].text()
    chunked = spot["mode"].data == "chunked"
    if text and not chunked:
        spot["rows"].refuse("needs mode: chunked")
    if chunked and PLACE not in text:
        spot["rows" if text else "mode"].refuse(
            f"needs rows: the JSON Lines file of a chunk, as data/part_{PLACE}.jsonl"
        )
    return text


def _sample(spot: Field) -> TestForm:
    if spot.data is None:
        return TestForm()
    if spot.data == "none":
        return TestForm(form="none")
    limit_s = spot["timeout"].seconds(TEST_LIMIT_S)
    if spot["command"].data is not None and spot["args"].data is not None:
        spot.refuse("has args and a command: keep one of the two")
    if spot["command"].data is not None:
        return TestForm(form="command", command=spot["command"].text(), limit_s=limit_s)
    if spot["args"].data is not None:
        return TestForm(form="args", args=_args(spot["args"]), limit_s=limit_s)
    return TestForm(limit_s=limit_s)


def _retry(spot: Field) -> Retry:
    attempts = spot["attempts"].whole(Retry.attempts)
    return Retry(attempts) if spot["on"].data is None else Retry(attempts, spot["on"].texts())


def _criterion(spot: Field, mode: object) -> Criterion:
    if not isinstance(spot.data, dict):
        return Criterion(spot.text() or spot.refuse("must be text or a mapping, got nothing"))
    text = spot["criterion"].text() or spot.refuse("needs criterion: what must be true, in words")
    kinds = [kind for kind in CRITERION_KINDS if spot.data.get(kind) is not None]
    if len(kinds) > 1:
        spot.refuse(f"is bound to {len(kinds)} checks: {', '.join(kinds)}; make each a criterion of its own")
    kind = kinds[0] if kinds else "prose"
    if kind == "matches":
        spot[kind]["pattern"].pattern()
    if kind == "command":
        spot[kind].text()
    return Criterion(
        text,
        kind,
        spot.data.get(kind),
        any_age=spot["any_age"].truth(Criterion.any_age),
        at=_at(spot, kind, mode),
        env=spot["env"].texts(),
        network=spot["network"].truth(Criterion.network),
    )


def _at(spot: Field, kind: str, mode: object) -> str:
    """Return when a criterion is asked first, empty when that is not written."""
    at = spot["at"].choice(("end", "start")) if spot["at"].data is not None else ""
    if at == "start" and mode != "background":
        spot["at"].refuse("start is for mode: background: elsewhere criteria are judged when MAIN has ended; remove it")
    if at == "start" and kind == "prose":
        spot["at"].refuse(f"start needs something to ask: bind it with {', '.join(CRITERION_KINDS)}, or remove at")
    return at


def _monitors(step: Field) -> tuple[Monitor, ...]:
    """Return the monitors of a step; what builds and knows their rules is imported for those that have some."""
    if step["background"].data is None:
        return ()
    from executor.plan.build_monitors import build_monitors

    return build_monitors(step)


def _notifiers(spot: Field) -> tuple[Notifier, ...]:
    entries = spot.items() if isinstance(spot.data, list) else [] if spot.data is None else [spot]
    return tuple(_notifier(entry) for entry in entries)


def _notifier(spot: Field) -> Notifier:
    if isinstance(spot.data, str):
        name = spot.data.removeprefix("env:")
        kind = "url" if name == spot.data else "env"
        return Notifier(kind, TARGETS[kind](Field(name, spot.path)))
    kind = spot.one_of((*TARGETS,) if spot["command"].data is None else ("command", "url"))
    return Notifier(
        kind,
        TARGETS[kind](spot[kind]),
        on=tuple(item.choice(NOTICES) for item in spot["on"].items()) or NOTICES,
        env=spot["env"].texts() if kind == "command" else (),
    )


def _url(spot: Field) -> str:
    """Return a URL; what is wrong with it is told without it, for it may hold a password."""
    scheme, _, rest = spot.text().partition("://")
    if not (scheme[:1].isalpha() and rest.strip()):
        spot.refuse("is no URL (scheme://...): write one that apprise knows, or env:NAME, or {command: ...}")
    return f"{scheme}://{rest}"


def _variable(spot: Field) -> str:
    if not (spot.text().isascii() and spot.text().isidentifier()):
        spot.refuse("must be the name of an environment variable, such as SLACK_URL")
    return spot.text()


TARGETS: Mapping[str, Callable[[Field], str]] = {"url": _url, "env": _variable, "command": Field.text}
