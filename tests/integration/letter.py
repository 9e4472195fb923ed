"""A model that does to the letter what the texts in its requests say, and knows nothing else of do-tasks."""

from __future__ import annotations

import json
import re
import shlex

from executor.testing import say, use

AGENT_ID = "x-claude-code-agent-id"  # a header that Claude Code sends for its agents alone


class Letter:
    """A script for the scripted server: what it runs stands in the command, the brief, or an answer of do-tasks.

    `work` maps the number of a step to the commands of its agent, one a round; else it makes the files of the criteria.
    """

    def __init__(self, work=None):
        self.work = work or {}
        self.ran, self.agents_ran, self.briefs = [], [], []
        self.said = ""
        self._page = ""
        self._agent_begun = set()
        self._handed_in = ""

    def __call__(self, request):
        if not request.tools:
            return say("no more than a title")
        return self._agent(request) if AGENT_ID in request.headers else self._session(request)

    # The session

    def _session(self, request):
        if not request.results:
            self._page = page_in(request)
            return self._run(self._asked_for())
        (result,) = request.results
        if self._handed_in:
            command, self._handed_in = self._handed_in, ""
            return self._run(command)
        return self._go_by(exit_code(result), result.text)

    def _asked_for(self):
        """What stands behind `Asked for`; without words what the page says then."""
        asked = re.search(r"Asked for: `do-tasks *(.*?) *`$", self._page, re.MULTILINE)[1]
        usual = re.search(r"Without arguments it is\s+`(.*?)`", self._page)[1]
        return f"do-tasks {asked}" if asked else usual

    def _run(self, command):
        self.ran.append(command)
        return use("Bash", command=command, description="as the page says", timeout=600_000)

    def _go_by(self, code, transcript):
        if code == 3 and "\n# Step " in f"\n{transcript}":
            return self._send_out(transcript)
        named = re.search(r"^Next: (do-tasks .*)$", transcript.rstrip().rpartition("\n")[2])
        if code == 0 and named and "`Next: do-tasks`" in self._page:
            return self._run(named[1])
        return self._stop(f"exit {code}")

    def _send_out(self, transcript):
        lines = transcript.splitlines()
        first = next(at for at, line in enumerate(lines) if line.startswith("# Step "))
        last = next(at for at, line in enumerate(lines) if re.match(r"Step \d+ waits:", line))
        brief = "\n".join(lines[first:last]).rstrip("\n")
        self._handed_in = re.search(r"^When the work is done: (do-tasks resume \S+)$", transcript, re.MULTILINE)[1]
        kind = re.search(r"`subagent_type`\s+([\w-]+)", self._page)[1]
        return use("Agent", description="MAIN", subagent_type=kind, prompt=brief, run_in_background=False)

    def _stop(self, text):
        self.said = text
        return say(text)

    # The agent

    def _agent(self, request):
        me = request.headers[AGENT_ID]
        if me not in self._agent_begun:
            self._agent_begun.add(me)
            brief = brief_in(request)
            self.briefs.append(brief)
            return self._do(self._work_of(brief))
        ordered = re.search(r"[Rr]un: `(do-tasks .*?)`", self.briefs[-1])
        if ordered and ordered[1] not in self.agents_ran:
            return self._do(ordered[1])
        return say("All criteria are met.")

    def _do(self, command):
        self.agents_ran.append(command)
        return use("Bash", command=command, description="the work")

    def _work_of(self, brief):
        number = re.search(r"^# Step (\d+)", brief, re.MULTILINE)[1]
        rounds = self.work.get(int(number), [])
        if rounds:
            return rounds.pop(0)
        files = re.findall(r"Judged: .* file `(.*?)` is there", brief)
        return "; ".join(f"echo done >{shlex.quote(name)}" for name in files)


def texts(request):
    """Every text in the messages of a request, in order."""
    for message in request.body["messages"]:
        content = message["content"]
        blocks = [{"text": content}] if isinstance(content, str) else content
        yield from (block["text"] for block in blocks if "text" in block)


def page_in(request):
    """The page of the command, expanded."""
    return next(text for text in texts(request) if "Asked for: `do-tasks" in text)


def brief_in(request):
    """The brief that an agent was sent out with."""
    return next(text for text in texts(request) if re.search(r"^# Step \d+", text, re.MULTILINE))


def exit_code(result):
    """The exit code of a command, as the Bash tool shows it; a refusal is none."""
    told = re.match(r"(?:<\w+>)?Exit code (\d+)", result.text)
    assert told or not result.is_error, json.dumps(result.text)
    return int(told[1]) if told else 0
