"""Lines of logs as plain text: decoded, without colours, prefixes and control characters."""

from __future__ import annotations

import re

from executor.monitoring.metrics.number_spelling import GAPS

ROUNDS = 6
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\|$)|[()*+#%][0-9A-Za-z]|[ -~])")
_UNSEEN = re.compile(r"[\x07\x08\x0e\x0f\ufeff\u200b-\u200f\u2028-\u202e\u2060-\u2064]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HIGH = re.compile(rb"[\x80-\xff]")
_GROUP = re.compile(rf"(?<=\d)[{GAPS}](?=\d{{3}}(?!\d))")
_TIME = r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_PREFIX = re.compile(
    rf"""\s*(?:
      \[(?:default|rank|worker|gpu|node|host|proc|local_rank)[ _:-]?\d{{1,6}}\]:?      # torchrun
    | \[\d{{1,6}},\d{{1,6}}\](?:<std\w{{3}}>)?:?                                       # mpirun
    | \([A-Za-z_][\w.]{{0,60}}\s(?:rank=\d+,\s)?pid=\d+(?:,\sip=[\w.:-]{{1,60}})?\)    # Ray
    | [IWEFD]\d{{4,8}}\s{_TIME}\s+\d+\s[^\]\s]{{1,120}}\]                              # glog
    | \[?\d{{4}}[-/]\d\d[-/]\d\d[T\s]{_TIME}\]?(?:\s(?:stdout|stderr)\s[FP]\b)?        # a day with its time
    | \[?(?:\d\d/\d\d/\d{{2,4}}\s)?{_TIME}\]?
    | \[?(?:debug|info|warning|warn|error|critical|trace|success|notice)\b\s*\]?(?!\s*[=:]?\s*[-+.\d])
    | [\w.]{{1,60}}:[\w<>.]{{1,60}}:\d+\s-                                             # loguru
    | [a-z][\w.-]{{0,40}}\d[\w.-]{{0,20}}\s*\|(?=\s)                                   # worker-0 |
    | (?:rank|node|worker|host|gpu|pod|proc|trainer|task)[\w.-]{{0,40}}:(?=\s)          # node1:
    | \d{{1,5}}:(?=\ )                                                                 # srun --label
    )\s*[-|:]?(?=\s|[A-Za-z{{\[(|])""",
    re.IGNORECASE | re.VERBOSE,
)


def plain(raw: bytes) -> str:
    """Return a line as text without colours and invisible characters, empty for binary data."""
    line = decoded(raw)
    if line.isascii() and line.isprintable():
        return line
    if "\x1b" in line:
        line = _ESCAPE.sub(" ", _COLOUR.sub("", line))
    line = _UNSEEN.sub("", _GROUP.sub("_", line)).strip(" ")
    if _CONTROL.search(line):
        return ""
    return "".join(sign if sign.isprintable() or sign == "\t" else " " for sign in line)


def decoded(raw: bytes) -> str:
    """Return bytes as text: UTF-8, UTF-16 of mostly ASCII text, else Windows-1252."""
    if b"\0" in raw:
        raw = raw.replace(b"\0", b"")
    raw = raw.strip(b"\r ")
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError:
        if 2 * len(_HIGH.findall(raw)) > len(raw) + 2:
            return ""
        line = raw.decode("cp1252", "replace")
    return line.removeprefix("ÿþ").removeprefix("þÿ").lstrip("\ufeff")


def shorn(line: str) -> str:
    """Return a line without the prefixes of launchers and loggers: ranks, hosts, times, levels."""
    at = 0
    for _ in range(ROUNDS):
        hit = _PREFIX.match(line, at)
        if hit is None:
            break
        at = hit.end()
    return line[at:].lstrip(" ") if at else line
