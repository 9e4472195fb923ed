"""The cause of a failure, from the output of the program: its last exception, a crash, memory."""

from __future__ import annotations

import re

from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import PROGRESS_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHARS = 200
SIGNALLED = 128
MOST_LINE = 4096  # characters of a line that are looked at
FAR, NEAR = 20, 3  # other lines that may follow an exception that is the cause: after exit 1 or a signal, after a code
_ESCAPES = lazy_regex.pattern(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()=>][A-Z0-9]?")
_PREFIX = lazy_regex.pattern(  # [rank0]: , (worker pid=7, ip=1.2.3.4) , [1,0]<stderr>: , 0: , a time, a level
    r"(?:\[(?:rank|default|node|worker|local)?[\d,.]+\](?:<std\w+>)?:? ?"
    r"|\((?:[^()\n]*\b)?pid=\d+[^)\n]*\) ?"
    r"|\d{1,4}: (?=[\w.]*[A-Z ])"
    r"|E {3}(?=\S)"
    r"|\d{4}-\d\d-\d\d[T ][\d:.,]+Z?[ |:-]*(?:\[?(?:ERROR|CRITICAL|FATAL)\]?[ |:-]*)?"
    r"|(?:ERROR|CRITICAL|FATAL)[: |-]+(?=[\w.]*(?:Error|Exception)))"
)
_RAISED = lazy_regex.pattern(
    r"(?:[A-Za-z_][\w.]*\.)?(?:[A-Z]\w*(?:Error|Exception|Interrupt|Failure|Timeout|Exceeded|Unavailable)\w*"
    r"|KeyboardInterrupt|StopIteration|SystemExit|MemoryError)(?:\(\w+\))?(?::|$)"
)
_RANK = lazy_regex.pattern(r"\[(?:rank|default|node|worker|local)?[\d,]+\]|\([^()\n]{0,80}pid=")
_TRACEBACK = "Traceback (most recent call last)"
_REPORTS_ANOTHER = lazy_regex.pattern(  # raised by who started the program that failed: what became of it, not why
    r"(?:[\w.]*\.)?(?:ChildFailedError|CalledProcessError|ProcessExitedException|ProcessRaisedException|SystemExit"
    r"|RayTaskError|WorkerCrashedError|BrokenPipeError|DistBackendError)\b"
)
_MEMORY = lazy_regex.pattern(
    r"out of memory|OutOfMemory|\bMemoryError\b|std::bad_alloc|Cannot allocate memory|not enough memory: you tried",
    re.IGNORECASE,
)
_OUT_OF_MEMORY = lazy_regex.pattern(  # as a program reports it when it dies of it, not as it warns of it
    r"(?:^|[\s.])\w*OutOfMemoryError\b|\bMemoryError(?::|$)|(?:CUDA|HIP|XPU|MPS)\b[^\n]{0,80}out of memory"
    r"|std::bad_alloc|RESOURCE_EXHAUSTED: Out of memory|Cannot allocate memory|not enough memory: you tried"
    r"|oom-kill|Out of memory: Killed",
    re.IGNORECASE,
)
_LIMITED = lazy_regex.pattern(
    r"rate.?limit|Too Many Requests|(?:HTTP|status|code|error)\W{0,12}(?:code\W{0,4})?429\b", re.IGNORECASE
)
_CRASHED = lazy_regex.pattern(
    r"Fatal Python error|terminate called|what\(\):|Assertion .*failed|panicked at|^panic: |Segmentation fault"
    r"|Bus error|Illegal instruction|Floating point exception|\bKilled\b"
)
_DRAWN = lazy_regex.pattern(r"\d+%\s*\|.*\||\d+%[|▏▎▍▌▋▊▉█━╸╺ ]{5}|\b\d+(?:\.\d+)?\s?(?:it/s|s/it|\?it/s)|━{5}|█{5}")
_FOOTER = lazy_regex.pattern(
    r"make(?:\[\d+\])?: \*\*\*|ninja: build stopped|srun: error|npm ERR!|wandb: |Set the environment variable HYDRA_"
    r"|root cause|Root Cause|exitcode *:|error_file *:|traceback *: |host *:|rank *:|time *: |Failures:"
    r"|Aborted\b|[^\n]*core dumped|<NO_OTHER_FAILURES>"
    r"|\S+ FAILED$|During handling of the above|The above exception was|To execute this test|warnings\.warn|\^+$"
)


def last_line(text: str) -> str:
    """Return the last line of text, 200 characters at most; progress bars, boxes and rules are skipped."""
    lines = (clean for clean in _lines(text) if not _DRAWN.search(clean))
    return next((line[:MOST_CHARS] for line in lines), "")


def cause(stderr: str, stdout: str, *, code: int | None = 1, memory: bool = False) -> str:
    """Return the line with the cause of a failure, empty when there is none.

    `code` is its exit code; `memory` is True when it is known to have run out of it.
    """
    most = NEAR if code not in (1, None) and code < SIGNALLED else FAR
    for text in (stderr, stdout):
        found = (memory and _of_memory(text)) or _raised_last(text, most)
        if found:
            return found[:MOST_CHARS]
    return _last_of(stderr) or _last_of(stdout) or last_line(stderr) or last_line(stdout)


def ran_out_of_memory(stderr: str, stdout: str, near: str) -> bool:
    """Return True for output about a lack of memory: anywhere, or `near` its end in looser words."""
    return bool(_MEMORY.search(near) or _OUT_OF_MEMORY.search(stderr) or _OUT_OF_MEMORY.search(stdout))


def was_limited(stderr: str, stdout: str) -> bool:
    """Return True for output about a rate limit of a service."""
    return bool(_LIMITED.search(stderr) or _LIMITED.search(stdout))


def _of_memory(text: str) -> str:
    return next((line for line, _ in _read_back(text) if _OUT_OF_MEMORY.search(line)), "")


def _raised_last(text: str, most: int) -> str:
    """Return the last exception or crash that at most `most` lines follow, any number when a launcher's footer does."""
    reported = crashed = ""
    others, launched = 0, False
    for line, kind in _read_back(text):
        if kind == "raised":
            if not _REPORTS_ANOTHER.match(line):
                return line
            reported, launched = reported or line, True
        elif kind == "footer":
            launched = True
        elif kind == "crashed" and most == FAR:
            crashed = crashed or line
        else:
            others += 1
        if others > most and not launched:
            break
    return crashed or reported


def _read_back(text: str) -> Iterator[tuple[str, str]]:
    """Return the lines of a text, last first, each with what it is: raised, crashed, footer or other."""
    lines = _plain(text).split("\n")
    bare = [_without_prefix(line.rstrip()[:MOST_LINE]) for line in lines]
    ends = _ends_of_tracebacks(bare)
    for place in range(len(bare) - 1, -1, -1):
        line = bare[place].strip()
        if not line or _is_decoration(line) or _DRAWN.search(line):
            continue
        if place in ends or _RAISED.match(line):
            yield line, "raised"
        elif _FOOTER.match(line) or _RANK.match(lines[place]):
            yield line, "footer"
        else:
            yield line, "crashed" if _CRASHED.search(line) else "other"


def _without_prefix(line: str) -> str:
    for _ in range(2):
        found = _PREFIX.match(line)
        line = line[found.end() :] if found else line
    return line


def _ends_of_tracebacks(lines: list[str]) -> set[int]:
    """Return the lines of the exceptions of tracebacks: the first behind each that is not indented."""
    ends: set[int] = set()
    inside = False
    for place, line in enumerate(lines):
        if line.lstrip(" |+").startswith(_TRACEBACK):
            inside = True
        elif inside and line.strip() and not line.startswith((" ", "\t")):
            ends.add(place)
            inside = False
    return ends


def _plain(text: str) -> str:
    """Return a text without what steers a terminal; what a bar drew over is a line of its own."""
    return _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of text, last first, without bars, boxes and rules."""
    for line in reversed(_plain(text).splitlines()):
        clean = line.strip()
        if clean and not _is_decoration(clean):
            yield clean


def _is_decoration(line: str) -> bool:
    """Return True for the bar's own lines, for rules and for the edges of boxes."""
    return line.startswith(PROGRESS_PREFIX) or not any(char.isalnum() for char in line) or _is_titled_rule(line)


def _is_titled_rule(line: str) -> bool:
    return bool(re.fullmatch(r"[╭╰┌└+][─━═+-]{2}.*[╮╯┐┘+]|[=*#_~-]{3,} ?[\w ()]{0,60} ?[=*#_~-]{3,}", line))


def _last_of(text: str) -> str:
    """Return the last line that is neither a bar nor a launcher's footer."""
    for line in _lines(text):
        if not _DRAWN.search(line) and not _FOOTER.match(line):
            return line[:MOST_CHARS]
    return ""
