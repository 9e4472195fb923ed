"""The table of `--monitor`: each job in a few lines, none wider than the terminal."""

from __future__ import annotations

from executor.cli.output.screen import terminal_size
from executor.store.ticks import SIGNS
from executor.system.records import TYPE_CHECKING
from executor.system.text import counted, joined_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.monitoring.eta import Progress
    from executor.supervisor.job_status import AlertStatus, CheckpointStatus, JobStatus, MonitorStatus

WIDEST = 120
PLAIN = 100  # columns where the width of the terminal is unknown
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
    """Return the columns to use: those of the terminal, WIDEST at most."""
    return min(WIDEST, terminal_size().columns or PLAIN)


def lines(jobs: list[JobStatus], width: int) -> list[str]:
    """Return the table: the count of the jobs, then each job."""
    if not jobs:
        return _wrapped(NONE, width)
    return [*_wrapped(_summary(jobs), width), *(line for job in jobs for line in ("", *_job(job, width)))]


def painted(line: str) -> str:
    """Return the line with its first sign or word coloured."""
    word = line.split(maxsplit=1)[0] if line.strip() else ""
    return line.replace(word, f"\x1b[{PAINT[word]}m{word}\x1b[0m", 1) if word in PAINT else line


def brief_line(job: JobStatus) -> str:
    """Return one job in one line, for a pipe."""
    parts = [_doing(job), *_nonempty(job.reason, _progress(job), _metrics(job))]
    saved = job.checkpoints
    parts += [f"{saved.count} checkpoints"] if saved else []
    parts += [f"alert {one.key}: {one.output}" for one in job.alerts]
    parts += [] if job.is_supervised or job.state not in RUNS or job.state == "elsewhere" else ["no supervisor"]
    return plain(f"step {job.step} {job.task_id} {', '.join(parts)}")


def mark_of(job: JobStatus) -> tuple[object, ...]:
    """Return the part of a status whose change is worth a line: not its numbers, which always change."""
    saved = job.checkpoints and job.checkpoints.count
    return job.task_id, job.state, job.run, job.is_supervised, saved, tuple(one.key for one in job.alerts)


def _summary(jobs: list[JobStatus]) -> str:
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.state] = counts.get(job.state, 0) + 1
    states = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())
    alerts = sum(len(job.alerts) for job in jobs)
    stands = f"; {counted(alerts, 'alert')} standing" if alerts else ""
    return f"{counted(len(jobs), 'job')}: {states}{stands}"


def _job(job: JobStatus, width: int) -> Iterator[str]:
    yield _head(job, width)
    for label, text in _details(job):
        yield from _labelled(label, text, width)


def _head(job: JobStatus, width: int) -> str:
    """Return sign, step and title on the left, the state on the right; the title is cut where they would meet."""
    sign = "!" if job.alerts else _sign(job)
    right = _doing(job)
    left = f"{sign} step {job.step}  {plain(job.title)}"
    room = width - width_of(right) - 2
    if room < 16:
        return cut(f"{left}  {right}", width)
    left = cut(left, room)
    return f"{left}{' ' * (width - width_of(left) - width_of(right))}{right}"


def _sign(job: JobStatus) -> str:
    """Return the sign of a job, from the table of all views."""
    if job.state in RUNS:
        return SIGNS["running"]
    word = str(job.tick or WORDS.get(job.state, job.state))
    return SIGNS.get(word, SIGNS["not defined"])


def _doing(job: JobStatus) -> str:
    state, age = job.state.replace("_", " "), job.lasted_s
    if age is None:
        return state
    return f"{state} for {duration(age)}" if job.state in RUNS else f"{state} after {duration(age)}"


def _details(job: JobStatus) -> Iterator[tuple[str, str]]:
    runs = job.state in (*RUNS, "unfinished")
    pid = f", pid {job.launcher}" if job.is_alive else ""
    again = f", {counted(job.restarts, 'restart')}" if job.restarts else ""
    yield "task", f"{job.task_id}{'/' if job.run else ''}{job.run}{pid}{again}"
    yield "reason", job.reason
    yield from (("alert", _alert(one)) for one in job.alerts)
    yield "progress", _moved(job) if runs else _progress(job)
    yield "metrics", _metrics(job)
    yield "checkpoints", _checkpoints(job, runs=runs)
    yield from (("blind", one.blind) for one in job.monitors)
    if runs:
        yield from (("monitor", _monitor(job, one)) for one in job.monitors)
        yield "supervisor", _supervisor(job)
        yield "stop", job.stop_command
    yield "log", job.log_command
    if job.state in AGAIN:
        yield "again", f"do-tasks --step {job.step}"


def _alert(one: AlertStatus) -> str:
    since = f" since {_clock(one.since)}" if one.since else ""
    output = f": {plain(one.output)}" if one.output else ""  # alone: a lone escape would swallow what follows it
    return f"{one.key}{since}{output} [{one.action or 'notify'}]"


def _progress(job: JobStatus) -> str:
    progress = job.progress
    if not progress or progress.done is None:
        return ""
    done, total = progress.done, progress.total
    return f"{done:g}/{total:g} ({100 * done / total:.0f} %)" if total else f"{done:g}"


def _moved(job: JobStatus) -> str:
    """Return the progress of a job, the age of its last change, the time left."""
    done, progress = _progress(job), job.progress
    if not (done and progress):
        return "" if job.state == "elsewhere" else "none seen yet"
    moved = f"last moved {_ago(job, progress)}"
    left = "" if progress.eta_s is None else f"{duration(progress.eta_s)} left ({progress.basis or 'basis unknown'})"
    return "; ".join(_nonempty(f"{done}, {moved}", left))


def _metrics(job: JobStatus) -> str:
    metrics = job.metrics
    shown = [f"{name} {value if isinstance(value, str) else f'{value:.6g}'}" for name, value in metrics.items()]
    more = f", and {len(shown) - MOST_METRICS} more" if len(shown) > MOST_METRICS else ""
    return ", ".join(shown[:MOST_METRICS]) + more


def _checkpoints(job: JobStatus, *, runs: bool) -> str:
    saved = job.checkpoints
    if not saved:
        return ""
    when = f" {_ago(job, saved)}" if runs else ""
    newest = f"newest {saved.newest}{when}" if saved.newest else ""
    return ", ".join(_nonempty(str(saved.count), newest, byte_size(saved.bytes) if saved.bytes else ""))


def _monitor(job: JobStatus, one: MonitorStatus) -> str:
    text = " ".join(_nonempty(one.text, f"(trouble: {one.troubled})" if one.troubled else ""))
    age_s = job.age_s(one.looked_s)
    if age_s is None and not text:
        return f"{one.name}: not looked yet"
    looked = f", {duration(age_s)} ago" if age_s is not None else ""
    return f"{one.name}: {text or ('well' if one.there else 'nothing there yet')}{looked}"


def _supervisor(job: JobStatus) -> str:
    if job.state == "elsewhere":
        return f"{job.where or 'on another host'}: how old things are is not known here"
    if job.state == "unfinished":
        return "none, the job was never started; go on with: do-tasks --continue"
    if not job.is_supervised:
        return f"none, and none could be started; see .do-tasks/jobs/{job.task_id}/supervisor.log"
    beat = job.heartbeat_s
    if beat is None:
        return "alive"
    return f"{'SILENT' if beat > SILENT_S else 'alive'}, heartbeat {duration(beat)} ago"


def _ago(job: JobStatus, one: Progress | CheckpointStatus) -> str:
    age_s = job.age_s(one.changed_s)
    if age_s is not None:
        return f"{duration(age_s)} ago"
    where = job.where or "on another host" if job.state == "elsewhere" else "before the last reboot"
    return f"{one.changed} {where}".strip()


def _clock(stamp: str) -> str:
    """Return the local time of a UTC stamp, with its date when that is not today; other text as it is."""
    from datetime import datetime

    try:
        then = datetime.fromisoformat(stamp).astimezone()
    except ValueError:
        return stamp
    today = then.date() == datetime.now().astimezone().date()
    return then.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: 7500 -> 2 h 05 min."""
    for large, name, small, below in UNITS:
        if seconds >= large:
            return f"{seconds // large:.0f} {name} {seconds % large // small:02.0f} {below}"
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s" if seconds >= 60 else f"{seconds:.0f} s"


def byte_size(number: float) -> str:
    """Return a size in binary units: 2048 -> 2.0 KiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def width_of(text: str) -> int:
    """Return the columns of a text on a terminal: some characters take two, some none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, width: int) -> str:
    """Return the text within this many columns."""
    if width_of(text) <= width:
        return text
    kept = text[: max(0, width - 1)]
    while width_of(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept.rstrip()}…" if width > 0 else ""


def plain(text: str) -> str:
    """Return text as one safe line with single blanks: the width of a tab is unknown."""
    return " ".join(joined_lines(text).split())


def _labelled(label: str, text: str, width: int) -> Iterator[str]:
    if text:
        first, *rest = _wrapped(plain(text), max(8, width - LABEL - 2 * len(INDENT)))
        yield cut(f"{INDENT}{label:<{LABEL}}{INDENT}{first}", width)
        yield from (cut(f"{INDENT}{'':<{LABEL}}{INDENT}{line}", width) for line in rest)


def _wrapped(text: str, width: int) -> list[str]:
    """Return the text in lines of at most `width` columns; a word longer than a line is broken."""
    if width_of(text) <= width:
        return [text]
    found = [""]
    for word in text.split():
        rest = word
        if found[-1] and width_of(f"{found[-1]} {rest}") <= width:
            found[-1] += f" {rest}"
            continue
        found += [""] if found[-1] else []
        while width_of(rest) > width:
            piece = _piece(rest, width)
            found[-1] = piece
            rest = rest[len(piece) :]
            found.append("")
        found[-1] = rest
    return [line for line in found if line] or [""]


def _piece(text: str, width: int) -> str:
    piece = text[:width]
    while len(piece) > 1 and width_of(piece) > width:
        piece = piece[:-1]
    return piece


def _nonempty(*texts: str) -> list[str]:
    return [text for text in texts if text]
