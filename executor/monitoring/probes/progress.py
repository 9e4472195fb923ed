"""The probe of the progress that a job prints."""

from __future__ import annotations

import os

from executor.monitoring.model import Sample
from executor.system.file_tail import FileTail
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import PROGRESS_PREFIX, parse_progress

if TYPE_CHECKING:
    from typing import Any

    from executor.monitoring.model import Memory, ProbeContext


def progress(asks: Any, memory: Memory, job: ProbeContext) -> Sample:
    """Read lines such as {"progress": {"done": 120, "total": 5000}}, also without total; `asks` is True."""
    path = os.path.join(job.folder, "stdout.log")
    if memory.get("path") != path:
        memory.clear()
        memory.update(path=path, file={})
    lines = _read(path, memory, job)
    done, total = memory.get("done"), memory.get("total")
    gained = memory["file"].get("gained", 0)
    if done is None:
        return Sample(at_s=job.now_s, there=False, bytes=gained, text="stdout holds no progress yet")
    known = {"done": done} if total is None else {"done": done, "total": total}
    text = f"{done:g}" if total is None else f"{done:g} of {total:g}"
    rows = ({"step": done, "line": float(memory["lines"])},) if lines else ()
    return Sample(at_s=job.now_s, progress=done, total=total, values=known, rows=rows, bytes=gained, text=text)


def _read(path: str, memory: Memory, job: ProbeContext) -> int:
    """Record the newest valid line of progress; return the number of such lines."""
    mark = PROGRESS_PREFIX.encode()
    tail = FileTail(path, memory["file"], began_ns=job.began_ns)
    try:
        found = [line for line in tail.newest_lines() if line.startswith(mark)]
    except OSError:
        memory["file"]["gained"] = 0
        return 0
    memory["lines"] = memory.get("lines", 0) + len(found)
    newest = next((values for line in reversed(found) if (values := parse_progress(line))), None)
    if newest:
        memory.update(done=newest[0], total=newest[1])
    return len(found)
