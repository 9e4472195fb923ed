"""The probe of a log: its growth, and lines that match a pattern."""

from __future__ import annotations

import os
import re
from binascii import crc32

from executor.monitoring.metrics.log_text import plain
from executor.monitoring.model import Sample, options_of
from executor.monitoring.probes import paths
from executor.system.file_tail import FileTail, last_bytes
from executor.system.records import TYPE_CHECKING
from executor.system.text import size, visible_line

if TYPE_CHECKING:
    from typing import Any

    from executor.monitoring.model import Memory, ProbeContext

OWN = {"stdout": "stdout.log", "stderr": "stderr.log"}
MOST_FILES = 8
BLOCKS = 8  # a look reads this many blocks at most
LONGEST = 4096  # bytes that are searched at the start and at the end of a line
MOST_HITS = 256  # matching lines that are remembered


def log(asks: Any, memory: Memory, job: ProbeContext) -> Sample:
    """Follow a log; `asks` is a file or glob (its newest file), or {file, match: pattern without case}.

    `stdout` and `stderr` are the outputs of the job. `progress` counts the bytes added, `text` is the last line, with
    `match` the last line that matched; `values["matches"]` counts the matches of this run. With `hand_out` nothing is
    searched: the new lines of at most one block are in `lines`.
    """
    options = options_of(asks, "file")
    path = _newest(job, options["file"])
    kept = _kept_of(path, memory)
    job = job.replace(began_ns=0) if kept.get("ours") else job
    try:
        count, lines = _read(path, kept, memory, options, job)
    except OSError as error:
        kept["ours"] = isinstance(error, FileNotFoundError)  # a file that comes later is of this run, with any time
        reason = paths.absence(job.root, options["file"]) if isinstance(error, FileNotFoundError) else error.strerror
        return Sample(at_s=job.now_s, there=False, text=f"{options['file']}: {reason}")
    there = memory["grown"] > 0 or kept["seen"][2] >= job.began_ns
    values = {"bytes": float(kept["seen"][1]), "lines_new": float(count), "matches": float(memory.get("matches", 0))}
    text = memory.get("text", "") or (f"{size(memory['grown'])} written" if there else "nothing of this run yet")
    done = float(memory["grown"])
    gained = memory["gained"]
    return Sample(
        at_s=job.now_s, there=there, progress=done, values=values, bytes=gained, text=text, lines=tuple(lines)
    )


def _newest(job: ProbeContext, pattern: str) -> str:
    path = paths.placed(job.root, pattern)
    if pattern in OWN and not os.path.exists(path):
        return os.path.join(job.folder, OWN[pattern])
    files = [one for one in paths.matching(job.root, pattern) if not one.is_folder]
    return max(files, key=lambda one: (one.status.st_mtime_ns, one.path)).path if files else path


def _kept_of(path: str, memory: Memory) -> Memory:
    files = memory.setdefault("files", {})
    for known in [*files] if len(files) > MOST_FILES else ():
        del files[known]
    kept: Memory = files.setdefault(path, {})
    return kept


def _read(path: str, kept: Memory, memory: Memory, options: dict[str, Any], job: ProbeContext) -> tuple[int, list[str]]:
    """Read the new lines into the memory; return their number, and those to search in the main thread."""
    match, hands_out = options.get("match"), options.get("hand_out", False)
    pattern = re.compile(match, re.IGNORECASE) if match else None
    count, last, hits, hit, grew = 0, b"", 0, b"", 0
    lines: list[str] = []
    tail = FileTail(path, kept, began_ns=job.began_ns)
    for _ in range(1 if hands_out else BLOCKS):
        for raw in tail.lines(ended=job.ended):
            count, last = count + 1, raw
            text = _searched(raw) if pattern or hands_out else ""
            if hands_out:
                lines.append(text)
            elif pattern and pattern.search(text) and _is_news(kept, raw):
                hits, hit = hits + 1, raw
        if kept.pop("anew", False):
            kept["hits"] = []
        kept.pop("again", None)
        grew += kept["gained"]
        if not kept["behind"]:
            break
    memory["grown"] = memory.get("grown", 0) + grew
    memory["gained"] = grew
    memory["matches"] = memory.get("matches", 0) + hits
    is_torn = grew and kept["at"] < kept["seen"][1]
    shown = hit if pattern else last_bytes(path) if is_torn else last
    memory["text"] = visible_line(shown) or memory.get("text", "")
    return count, lines


def _searched(raw: bytes) -> str:
    """Return a line as text, of a long one its start and its end."""
    if len(raw) > 2 * LONGEST:
        raw = raw[:LONGEST] + b"\n" + raw[-LONGEST:]
    return plain(raw) or raw.decode("utf-8", "replace")


def _is_news(kept: Memory, raw: bytes) -> bool:
    """Return True when a matching line is new: a rewritten file may hold the lines of before again."""
    if kept.pop("anew", False):
        began_anew = 2 * kept["seen"][1] <= kept.get("was", 0)
        kept["again"], kept["hits"] = [] if began_anew else kept.get("hits", []), []
    mark, again = crc32(raw), kept.get("again", [])
    kept["hits"] = [*kept.get("hits", ()), mark][-MOST_HITS:]
    if mark in again:
        again.remove(mark)
        return False
    return True
