"""One monitor: its last sample, and the results of its rules."""

from __future__ import annotations

import json
import re

from executor.monitoring import alerts
from executor.monitoring.model import RuleResult, Sample, options_of
from executor.monitoring.rules.registry import RULES
from executor.monitoring.unseen import grace_s, unseen
from executor.system.records import TYPE_CHECKING, Record
from executor.system.regex_search import LIMIT_S, TimedPattern, TooSlowError
from executor.system.signals import describe_exit
from executor.system.text import LONG_WIDTH, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from executor.monitoring.model import Memory, Monitor

COMMANDS = ("command", "check", "alert", "call")
ANSWERED = ("check", "alert", "call")  # exit 1 is an answer, not an error
NOT_RUN = (None, 126, 127)
CUT_SHORT = (141, -13)  # SIGPIPE, as of `ls | head` under pipefail
END_CHARS = 140  # of the first line and of the last that are shown
_TOTAL = re.compile(r"total [\d.,]+[KMGTP]?")  # the head of `ls -l`
FIRST_S = 5.0
GIVEN_UP = 2  # slow searches after which a pattern is not searched any more
QUIET_LOOKS = 10  # looks at a log without a match after which its alert ends


def _pattern(monitor: Monitor) -> TimedPattern | None:
    """Return the pattern for the output of a command or the lines of a log, None without one."""
    match = options_of(monitor.asks, "file").get("match") if monitor.kind == "log" else None
    if monitor.alert_on:
        return TimedPattern(alerts.match(monitor.alert_on))
    return TimedPattern(re.compile(match, re.IGNORECASE)) if match else None


def _ends_of(lines: list[str]) -> str:
    """Return the first and last line of the output of a command."""
    if len(lines) > 1 and _TOTAL.fullmatch(lines[0]):
        lines = lines[1:]
    ends = [one_line(line, LONG_WIDTH) for line in (lines[:1] + lines[-1:] if len(lines) > 1 else lines)]
    return ends[0] if len(ends) == 1 else " ... ".join(one[:END_CHARS] for one in ends)


class Judged(Record):
    """The result of one look for one alert key."""

    key: str
    judgement: RuleResult
    monitor: Monitor


class MonitorState:
    """One monitor with its last sample and the memory of its probe and rules."""

    def __init__(self, monitor: Monitor, kept: Mapping[str, Any]) -> None:
        self.monitor = monitor
        self.memory: Memory = dict(kept.get("probe", {}))
        self.rules: Memory = dict(kept.get("rules", {}))
        self.next_s = 0.0
        self.busy = False
        self.looked_s: float | None = None
        self.reading = Sample(at_s=0.0, there=False)
        self.troubled = ""
        self.ever_there = bool(kept.get("there"))
        self.steps = bool(kept.get("steps"))
        self.looks = int(kept.get("looks", 0))
        self.since_s: float | None = kept.get("since_s")
        self.unseen: Mapping[str, str] = {}
        self.slow = int(kept.get("slow", 0))
        self.pattern = _pattern(monitor)

    def kept(self) -> dict[str, Any]:
        """Return the state to store as JSON."""
        whole = {
            "probe": self.memory,
            "rules": self.rules,
            "there": self.ever_there,
            "steps": self.steps,
            "looks": self.looks,
            "since_s": self.since_s,
            "slow": self.slow,
        }
        kept: dict[str, Any] = json.loads(json.dumps(whole, default=str))  # a copy: the next look changes the original
        return kept

    def start(self, now_s: float) -> None:
        """Begin a look; the next one is due an interval later, however long this one takes."""
        self.busy = True
        interval_s = self.monitor.interval_s
        if self.monitor.kind == "checkpoints" and not self.ever_there:
            interval_s = min(interval_s, FIRST_S)  # a command may wait for the first one
        on_time = self.next_s + interval_s
        self.next_s = on_time if on_time > now_s else now_s + interval_s

    def take(self, reading: Sample) -> list[Judged]:
        """Record the sample of a probe and return the results of the rules."""
        self.busy, self.looked_s = False, reading.at_s
        self.troubled = self._too_slow() if self.slow >= GIVEN_UP else ""
        self.reading = reading = self._searched(reading)
        self.ever_there = self.ever_there or reading.there
        self.steps = self.steps or reading.progress is not None or bool(reading.rows)
        self._note_look(reading.at_s)
        judged = [self._judge(rule.kind, rule.args) for rule in self.monitor.rules]
        return judged + self._log_matches()

    def _note_look(self, now_s: float) -> None:
        self.looks += 1
        if self.ever_there and self.since_s is None:
            self.since_s = now_s

    def miss(self, now_s: float, began_s: float, *, ended: bool) -> Mapping[str, str]:
        """Return the reason for each thing never seen, by key, after the grace or the end of the job."""
        waited_s = now_s - (began_s if self.since_s is None else self.since_s)
        is_due = waited_s > grace_s(self.monitor) or ended
        had_a_chance = self.monitor.kind not in COMMANDS or self.looks > 1
        self.unseen = {}
        if is_due and had_a_chance and self.looks:
            self.unseen = unseen(
                self.monitor,
                there=self.ever_there,
                names=self.reading.values,
                text=self.troubled or self.reading.text,
                steps=self.steps,
                ended=ended,
            )
        if self.slow >= GIVEN_UP:
            self.unseen = {**self.unseen, f"{self.monitor.name}/alert_on": f"{self._too_slow()}; it is left out"}
        return self.unseen

    def _judge(self, kind: str, args: Mapping[str, Any]) -> Judged:
        memory = self.rules.setdefault(kind, {})
        return self.judged(kind, RULES[kind].judge(args, memory, self.reading))

    def _log_matches(self) -> list[Judged]:
        """Return the result of new matches in a log: it stands until QUIET_LOOKS looks pass without another."""
        if self.monitor.kind != "log" or not self.monitor.alert_on or self.slow >= GIVEN_UP:
            return []
        seen = self.reading.values.get("matches", 0.0)
        new = seen > self.rules.get("matches", 0.0)
        self.rules["matches"] = seen
        self.rules["quiet"] = 0 if new else self.rules.get("quiet", QUIET_LOOKS) + 1
        stands = True if new else False if self.rules["quiet"] >= QUIET_LOOKS else None
        return [self.judged("alert_on", RuleResult(stands, self.reading.text))]

    def judged(self, what: str, judgement: RuleResult) -> Judged:
        """Return a result under the key of its alert."""
        return Judged(f"{self.monitor.name}/{what}", judgement, self.monitor)

    def take_output(self, exit_code: int | None, output: str, errors: str, now_s: float) -> list[Judged]:
        """Record the output of a command and return the results; a failed command has seen nothing."""
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        last = lines[-1] if lines else ""
        if exit_code in CUT_SHORT:  # the rest of the pipe had read enough and succeeded
            exit_code, errors = 0, ""
        self.busy, self.looked_s = False, now_s
        asks = self.monitor.kind in ANSWERED and exit_code not in NOT_RUN
        there = exit_code == 0 or (asks and not errors)
        ended = ": ".join(filter(None, (describe_exit(exit_code), errors or last)))
        self.troubled = "" if there else one_line(ended, LONG_WIDTH)
        self.reading = Sample(at_s=now_s, there=there, text=_ends_of(lines))
        self.ever_there = self.ever_there or there or asks
        self._note_look(now_s)
        try:
            return [self.judged(what, judgement) for what, judgement in self._output_results(exit_code, output)]
        except TooSlowError:
            self._was_slow()
            return []

    def _output_results(self, exit_code: int | None, output: str) -> Iterator[tuple[str, RuleResult]]:
        kind = self.monitor.kind
        if self.pattern is not None and self.slow < GIVEN_UP:
            yield "alert_on", alerts.judge_output(self.pattern, output, exit_code)
        if kind in ("check", "call"):
            yield "check", alerts.judge_check(self.rules.setdefault("check", {}), exit_code)
        if kind == "alert":
            yield "alert", alerts.judge_alert(exit_code, output)

    def _searched(self, reading: Sample) -> Sample:
        """Return a sample with the matches in the lines that its probe hands out, counted as the probe does."""
        if self.pattern is None or not reading.lines or self.slow >= GIVEN_UP:
            return reading.replace(lines=())
        try:
            hits = self.pattern.among(reading.lines)
        except TooSlowError:
            self._was_slow()
            hits = []
        self.rules["hits"] = self.rules.get("hits", 0) + len(hits)
        self.rules["hit"] = one_line(hits[-1], LONG_WIDTH) if hits else self.rules.get("hit", "")
        values = {**reading.values, "matches": float(self.rules["hits"])}
        return reading.replace(lines=(), values=values, text=self.rules["hit"] or reading.text)

    def _was_slow(self) -> None:
        self.slow += 1
        self.troubled = self._too_slow()

    def _too_slow(self) -> str:
        pattern = one_line(self.monitor.alert_on or self._match(), LONG_WIDTH)
        return f"its pattern took more than {LIMIT_S:g} s: {pattern}"

    def _match(self) -> str:
        return str(options_of(self.monitor.asks, "file").get("match") or "") if self.monitor.kind == "log" else ""

    def blind(self, now_s: float, began_s: float) -> Judged:
        """Return the result of the grace: it stands when the monitor has seen nothing for so long."""
        grace_s = self.monitor.grace_s
        return self.judged("blind", alerts.judge_blind(grace_s, self.ever_there, now_s, began_s))
