"""The screen of `--monitor`: every job in a few calm lines, none wider than the terminal."""

from __future__ import annotations

import os
import time

from executor.cli.output.transcript import one_line
from executor.store.ticks import SIGNS
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Row = dict[str, Any]

WIDEST = 120
PLAIN = 100  # columns where nobody says how many there are
LABEL = 12
INDENT = "  "
SILENT_S = 15.0  # a supervisor writes every 5 s at least
MOST_METRICS = 24
RUNS = ("starting", "running", "restarting", "ending", "elsewhere")
AGAIN = ("failed", "timed_out", "lost", "cancelled", "interrupted")
WORDS = {"timed_out": "timed out", "cancelled": "stopped"}  # verdicts by the names that the table of marks has
PAINT = {"✓": "32", "?": "33", "✗": "31", "!": "31", "alert": "31", "■": "33", "‖": "33", "~": "36"}
UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"))
NONE = "No background job yet: give a step `main: {mode: background}`, then run: do-tasks --continue"


def columns() -> int:
    """Return how many columns to use: those of the terminal, never more than reads well."""
    try:
        return min(WIDEST, os.get_terminal_size(1).columns or PLAIN)
    except OSError:
        return PLAIN


def lines(rows: list[Row], width: int) -> list[str]:
    """Return the screen: what there is, then each job."""
    if not rows:
        return _wrapped(NONE, width)
    return [*_wrapped(_summary(rows), width), *(line for row in rows for line in ("", *_job(row, width)))]


def painted(line: str) -> str:
    """Return the line with its first sign or word in its color."""
    word = line.split(maxsplit=1)[0] if line.strip() else ""
    return line.replace(word, f"\x1b[{PAINT[word]}m{word}\x1b[0m", 1) if word in PAINT else line


def brief_line(row: Row) -> str:
    """Return one job in one line, for a pipe."""
    parts = [_doing(row), *_nonempty(row["reason"], _progress(row), _metrics(row))]
    saved = row["checkpoints"]
    parts += [f"{saved['count']} checkpoints"] if saved else []
    parts += [f"alert {one['key']}: {one['output']}" for one in row["alerts"]]
    parts += [] if row["supervised"] or row["state"] not in RUNS or row["state"] == "elsewhere" else ["no supervisor"]
    return plain(f"step {row['step']} {row['task_id']} {', '.join(parts)}")


def mark_of(row: Row) -> tuple[object, ...]:
    """Return what of a job is worth a line when it changes: not its numbers, which always do."""
    saved = row["checkpoints"] or {}
    alerts = tuple(one["key"] for one in row["alerts"])
    return row["task_id"], row["state"], row["run"], row["supervised"], saved.get("count"), alerts


def _summary(rows: list[Row]) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["state"]] = counts.get(row["state"], 0) + 1
    told = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())
    alerts = sum(len(row["alerts"]) for row in rows)
    stands = f"; {_counted(alerts, 'alert')} standing" if alerts else ""
    return f"{_counted(len(rows), 'job')}: {told}{stands}"


def _job(row: Row, width: int) -> Iterator[str]:
    yield _head(row, width)
    for label, text in _details(row):
        yield from _labelled(label, text, width)


def _head(row: Row, width: int) -> str:
    """Return sign, step and title on the left, what it does on the right, the title cut where they would meet."""
    sign = "!" if row["alerts"] else _sign(row)
    right = _doing(row)
    left = f"{sign} step {row['step']}  {plain(row['title'])}"
    room = width - size(right) - 2
    if room < 16:
        return cut(f"{left}  {right}", width)
    left = cut(left, room)
    return f"{left}{' ' * (width - size(left) - size(right))}{right}"


def _sign(row: Row) -> str:
    """Return the mark of a job, by the one table that every view has."""
    if row["state"] in RUNS:
        return SIGNS["running"]
    word = str(row["tick"] or WORDS.get(row["state"], row["state"]))
    return SIGNS.get(word, SIGNS["not defined"])


def _doing(row: Row) -> str:
    state, age = str(row["state"]).replace("_", " "), row["age_s"]
    if age is None:
        return state
    return f"{state} for {told_s(age)}" if row["state"] in RUNS else f"{state} after {told_s(age)}"


def _details(row: Row) -> Iterator[tuple[str, str]]:
    runs = row["state"] in (*RUNS, "unfinished")
    pid = f", pid {row['pid']}" if row["alive"] else ""
    again = f", {_counted(row['restarts'], 'restart')}" if row["restarts"] else ""
    yield "task", f"{row['task_id']}{'/' if row['run'] else ''}{row['run']}{pid}{again}"
    yield "reason", row["reason"]
    for one in row["alerts"]:
        yield "alert", _alert(one)
    yield "progress", _moved(row) if runs else _progress(row)
    yield "metrics", _metrics(row)
    yield "checkpoints", _checkpoints(row, runs=runs)
    yield from (("blind", str(one.get("blind") or "")) for one in row["monitors"])
    if runs:
        for one in row["monitors"]:
            yield "monitor", _monitor(row, one)
        yield "supervisor", _supervisor(row)
        yield "stop", row["stop"]
    yield "log", row["log"]
    if row["state"] in AGAIN:
        yield "again", f"do-tasks --step {row['step']}"


def _alert(one: Row) -> str:
    since = f" since {_clock(one['since'])}" if one["since"] else ""
    told = f": {plain(one['output'])}" if one["output"] else ""  # alone: a lone escape would swallow what follows it
    return f"{one['key']}{since}{told} [{one['action'] or 'notify'}]"


def _progress(row: Row) -> str:
    progress = row["progress"]
    if not progress or progress["done"] is None:
        return ""
    done, total = progress["done"], progress["total"]
    return f"{done:g}/{total:g} ({100 * done / total:.0f} %)" if total else f"{done:g}"


def _moved(row: Row) -> str:
    """Return how far it is, how long ago it last moved, when it may be done."""
    done = _progress(row)
    if not done:
        return "" if row["state"] == "elsewhere" else "none seen yet"
    moved = f"last moved {_ago(row, row['progress'])}"
    left = f"{told_s(row['eta_s'])} left ({row['eta_basis'] or 'no basis told'})" if row["eta_s"] is not None else ""
    return "; ".join(_nonempty(f"{done}, {moved}", left))


def _metrics(row: Row) -> str:
    metrics = row["metrics"]
    shown = [f"{name} {value if isinstance(value, str) else f'{value:.6g}'}" for name, value in metrics.items()]
    more = f", and {len(shown) - MOST_METRICS} more" if len(shown) > MOST_METRICS else ""
    return ", ".join(shown[:MOST_METRICS]) + more


def _checkpoints(row: Row, *, runs: bool) -> str:
    saved = row["checkpoints"]
    if not saved:
        return ""
    when = f" {_ago(row, saved)}" if runs else ""
    newest = f"newest {saved['newest']}{when}" if saved["newest"] else ""
    return ", ".join(_nonempty(str(saved["count"]), newest, told_bytes(saved["bytes"]) if saved["bytes"] else ""))


def _monitor(row: Row, one: Row) -> str:
    text = " ".join(_nonempty(one["text"], f"(trouble: {one['troubled']})" if one["troubled"] else ""))
    if one["age_s"] is None and not text:
        return f"{one['name']}: not looked yet"
    looked = f", {told_s(one['age_s'])} ago" if one["age_s"] is not None else ""
    return f"{one['name']}: {text or ('well' if one['there'] else 'nothing there yet')}{looked}"


def _supervisor(row: Row) -> str:
    if row["state"] == "elsewhere":
        return f"{row['where'] or 'on another host'}: how old things are is not known here"
    if row["state"] == "unfinished":
        return "none, the job was never let go; go on with: do-tasks --continue"
    if not row["supervised"]:
        return f"none, and none could be started; see .do-tasks/jobs/{row['task_id']}/supervisor.log"
    beat = row["heartbeat_s"]
    if beat is None:
        return "alive"
    return f"{'SILENT' if beat > SILENT_S else 'alive'}, heartbeat {told_s(beat)} ago"


def _ago(row: Row, one: Row) -> str:
    if one["age_s"] is not None:
        return f"{told_s(one['age_s'])} ago"
    where = row["where"] or "on another host" if row["state"] == "elsewhere" else "before the last reboot"
    return f"{one['changed']} {where}".strip()


def _clock(stamp: str) -> str:
    """Return the local time of day of a UTC time, with the date when it is not today's; as it is when it is none."""
    try:
        then = time.localtime(_epoch_s(stamp))
    except ValueError:
        return stamp
    today = then[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", then)


def _epoch_s(stamp: str) -> int:
    from calendar import timegm

    part = [int(stamp[at:to]) for at, to in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19))]
    return timegm((*part, 0, 0, 0))


def told_s(seconds: float) -> str:
    """Return a duration in its two largest units."""
    for large, name, small, below in UNITS:
        if seconds >= large:
            return f"{seconds // large:.0f} {name} {seconds % large // small:02.0f} {below}"
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s" if seconds >= 60 else f"{seconds:.0f} s"


def told_bytes(number: float) -> str:
    """Return a size in the unit that suits it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def size(text: str) -> int:
    """Return the columns that a text takes: some characters take two, some none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, width: int) -> str:
    """Return the text within this many columns."""
    if size(text) <= width:
        return text
    kept = text[: max(0, width - 1)]
    while size(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept.rstrip()}…" if width > 0 else ""


def plain(text: str) -> str:
    """Return text as one safe line with single blanks: a tab takes nobody knows how many columns."""
    return " ".join(one_line(text).split())


def _labelled(label: str, text: str, width: int) -> Iterator[str]:
    if text:
        first, *rest = _wrapped(plain(text), max(8, width - LABEL - 2 * len(INDENT)))
        yield cut(f"{INDENT}{label:<{LABEL}}{INDENT}{first}", width)
        yield from (cut(f"{INDENT}{'':<{LABEL}}{INDENT}{line}", width) for line in rest)


def _wrapped(text: str, width: int) -> list[str]:
    """Return the text in lines of at most `width` columns; a word longer than a line is broken."""
    if size(text) <= width:
        return [text]
    found = [""]
    for word in text.split():
        rest = word
        if found[-1] and size(f"{found[-1]} {rest}") <= width:
            found[-1] += f" {rest}"
            continue
        found += [""] if found[-1] else []
        while size(rest) > width:
            piece = _piece(rest, width)
            found[-1] = piece
            rest = rest[len(piece) :]
            found.append("")
        found[-1] = rest
    return [line for line in found if line] or [""]


def _piece(text: str, width: int) -> str:
    piece = text[:width]
    while len(piece) > 1 and size(piece) > width:
        piece = piece[:-1]
    return piece


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _nonempty(*texts: str) -> list[str]:
    return [text for text in texts if text]
