"""Roles are read as Claude Code reads them, what it drops in silence is refused."""

from __future__ import annotations

import re

from executor.errors import DefinitionError, Problem
from executor.plan import frontmatter
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import clean_control, did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from executor.plan.frontmatter import Frontmatter

SKILLS = ".claude/skills"
SKILL_FILE = "SKILL.md"
BASH, EDITOR, DONE = "bash", "str_replace_based_edit_tool", "done"

# Of Claude Code 2.1.330, and of older versions whose names files still hold.
_TOOLS = (
    *("Agent", "Artifact", "AskUserQuestion", "Bash", "BashOutput", "CronCreate", "CronDelete", "CronList", "Edit"),
    *("EnterPlanMode", "EnterWorktree", "ExitPlanMode", "ExitWorktree", "Glob", "Grep", "LS", "LSP", "ListAgents"),
    *("ListMcpResourcesTool", "Monitor", "MultiEdit", "NotebookEdit", "NotebookRead", "PowerShell", "Projects"),
    *("ProposeSkills", "PushNotification", "REPL", "Read", "ReadMcpResourceDirTool", "ReadMcpResourceTool"),
    *("ReadNotifications", "RefreshMcpTools", "RemoteTrigger", "ReportFindings", "ScheduleWakeup", "SendFeedback"),
    *("SendMessage", "SendUserFile", "SendUserMessage", "SetGoal", "Skill", "SlashCommand", "StructuredOutput"),
    *("TaskCreate", "TaskGet", "TaskList", "TaskOutput", "TaskStop", "TaskUpdate", "TodoRead", "TodoWrite"),
    *("ToolSearch", "WaitForMcpServers", "WebFetch", "WebSearch", "Workflow", "Write"),
)
_RENAMED = {
    "Task": "Agent",
    "KillShell": "TaskStop",
    "KillBash": "TaskStop",
    "Brief": "SendUserMessage",
    "ListPeers": "ListAgents",
    "ListMcpResources": "ListMcpResourcesTool",
    "ProposeGoal": "SetGoal",
    "ReadMcpResource": "ReadMcpResourceTool",
    "ReadMcpResourceDir": "ReadMcpResourceDirTool",
}
TOOLS = frozenset((*_TOOLS, *_RENAMED))
_WRITES = frozenset(("Edit", "Write", "MultiEdit", "NotebookEdit"))
_SERVED = {"Bash": BASH, "Read": EDITOR, **dict.fromkeys(_WRITES, EDITOR)}
_ALL = ("Bash", "Read", "Edit", "Write")  # what a role gets that names no tools
_KEYS = ("name", "description", "tools", "disallowedTools", "model", "maxTurns", "skills")
_FOLDED = {key.casefold().rstrip("s"): key for key in _KEYS} | {"allowedtool": "tools"}

_PIECE = re.compile(r"(?:\([^()]*\)|[^\s,()])+|[()]")
_NAME = re.compile(r"(?!\.)[^\s/\\\x00-\x1f]{1,128}")


class Role(Record):
    """The role of an agent: `tools` None = all; `model` empty = the configured one; `max_turns` 0 = not given.

    Tools carry today's names: `Task` is Agent, `Bash(python3:*)` is Bash. `body` is the system prompt.
    """

    name: str
    description: str
    model: str = ""
    tools: tuple[str, ...] | None = None
    disallowed: tuple[str, ...] = ()
    max_turns: int = 0
    skills: tuple[str, ...] = ()
    body: str = ""
    file: str = ""


class Skill(Record):
    """A skill of an agent: `folder` holds SKILL.md and its companions `files`, `extra` has every other key."""

    name: str
    description: str
    body: str
    folder: str
    extra: Mapping[str, Any]
    files: tuple[str, ...] = ()


def read_role(text: str, file: str) -> Role:
    """Return the role of an agent file; DefinitionError with every problem, each with its line."""
    head = frontmatter.read(text, file)
    if head.absent:
        message = "a role begins with frontmatter: a line ---, name: and description:, a line ---"
        raise DefinitionError(frontmatter.at(file, 1, message))
    fields = _Fields(head)
    role = Role(
        name=fields.needed("name"),
        description=fields.needed("description"),
        model=_model(fields.text("model")),
        tools=fields.tools("tools"),
        disallowed=fields.tools("disallowedTools") or (),
        max_turns=fields.count("maxTurns"),
        skills=fields.skills("skills"),
        body=head.body,
        file=file,
    )
    fields.problems += _misspelled(fields)
    fields.check()
    return role


def read_skill(text: str, folder: str) -> Skill:
    """Return the skill of folder/SKILL.md; nameless it has its folder's name, its first line describes it."""
    head = frontmatter.read(text, f"{folder.rstrip('/')}/{SKILL_FILE}")
    fields = _Fields(head)
    skill = Skill(
        name=fields.text("name") or folder.rstrip("/").rpartition("/")[2],
        description=fields.text("description") or _first_line(head.body),
        body=head.body,
        folder=folder.rstrip("/"),
        extra={key: value for key, value in head.data.items() if key not in ("name", "description")},
    )
    fields.check()
    return skill


def tools_of(role: Role) -> tuple[str, ...]:
    """Return which of bash, str_replace_based_edit_tool the role gets, then done, which every role has."""
    served = {_SERVED[tool] for tool in _wanted(role)}
    return (*(tool for tool in (BASH, EDITOR) if tool in served), DONE)


def reads_only(role: Role) -> bool:
    """Return True for a role without a tool that writes files: the editor may only view then."""
    return not _WRITES.intersection(_wanted(role))


def not_offered(role: Role) -> tuple[str, ...]:
    """Return the tools of Claude Code that the role names and do-tasks does not offer."""
    return tuple(tool for tool in role.tools or () if tool not in _SERVED and tool not in role.disallowed)


def place_of(skill: str) -> str:
    """Return the path of a skill's SKILL.md; DefinitionError for a name that no folder can have."""
    if not _NAME.fullmatch(skill):
        raise DefinitionError(Problem(SKILLS, _no_skill(skill)))
    return f"{SKILLS}/{skill}/{SKILL_FILE}"


def missing(skill: str, *, known: Iterable[str] = (), entries: Iterable[str] = ()) -> str:
    """Return the message for a missing skill; `known` are the skills there are, `entries` the files of its folder."""
    place = place_of(skill)
    other_case = [name for name in sorted(entries) if name.casefold() == SKILL_FILE.casefold()]
    if other_case:
        return f"skill {skill} is missing: rename {other_case[0]} to {SKILL_FILE}, upper case: {place}"
    return f"skill {skill} is missing: it belongs in {place}{did_you_mean(skill, {*known} - {skill})}"


def _wanted(role: Role) -> tuple[str, ...]:
    named = _ALL if role.tools is None else role.tools
    return tuple(tool for tool in named if tool in _SERVED and tool not in role.disallowed)


def _model(written: str) -> str:
    return "" if written.casefold() == "inherit" else written


def _first_line(body: str) -> str:
    return next((line.strip("# \t") for line in body.split("\n") if line.strip("# \t")), "")


def _no_skill(name: str) -> str:
    return f"{quoted(name)} is no skill's name: it is the NAME of {SKILLS}/NAME/{SKILL_FILE}"


def _misspelled(fields: _Fields) -> Iterator[Problem]:
    """Yield a problem for each key that Claude Code ignores although it looks like one that it reads."""
    for key in fields.data:
        folded = key.replace("-", "").replace("_", "").casefold().rstrip("s")
        if folded in _FOLDED and key not in _KEYS:
            yield fields.problem(key, f"unknown key; did you mean {_FOLDED[folded]}")


class _Fields:
    """The keys of one file as typed values, with what is wrong in them."""

    def __init__(self, head: Frontmatter) -> None:
        self.data = head.data
        self.problems: list[Problem] = []
        self._head = head
        self._places: dict[tuple[str | int, ...], tuple[int, int]] | None = None

    def text(self, key: str) -> str:
        value = self.data.get(key)
        if value is None or isinstance(value, str):
            return clean_control(value or "").strip()
        self._note(key, f"must be text, got {quoted(value)}: quote it")
        return ""

    def needed(self, key: str) -> str:
        before = len(self.problems)
        found = self.text(key)
        if not found and len(self.problems) == before:
            self._note(key, f"is missing, and Claude Code loads no role without it; add a line {key}: ...")
        return found

    def count(self, key: str) -> int:
        """Return a number from 1, 0 when it is not given; digits in quotes count."""
        value = self.data.get(key)
        if isinstance(value, str) and re.fullmatch("[1-9][0-9]{0,8}", value):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        if value is not None:
            self._note(key, f"must be a whole number, 1 or more, got {quoted(value)}")
        return 0

    def tools(self, key: str) -> tuple[str, ...] | None:
        """Return the tools named, each once; None when the key is absent or *, an empty tuple when it is empty."""
        pieces = self._pieces(key)
        if key not in self.data or (key == "tools" and "*" in pieces):
            return None
        names = dict.fromkeys(piece.partition("(")[0] for piece in pieces)
        for name in names:
            if not self._is_tool(name):
                self._note(key, _no_tool(name))
        return tuple(dict.fromkeys(_RENAMED.get(name, name) for name in names))

    def skills(self, key: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(self._pieces(key)))
        for name in names:
            if not _NAME.fullmatch(name):
                self._note(key, _no_skill(name))
        return names

    def check(self) -> None:
        """Raise what is wrong, in the order of the file."""
        if self.problems:
            raise DefinitionError(*sorted(self.problems, key=lambda problem: problem.line))

    def problem(self, key: str, message: str) -> Problem:
        if self._places is None:
            self._places = self._head.places()
        line, col = self._places.get((key,), (1, 1))
        return Problem(self._head.file, message, path=clean_control(key), line=line, col=col)

    def _note(self, key: str, message: str) -> None:
        self.problems.append(self.problem(key, message))

    def _is_tool(self, name: str) -> bool:
        return name in TOOLS or name.startswith("mcp__")

    def _pieces(self, key: str) -> list[str]:
        """Return the words of a list, or of text parted by commas or blanks; those in brackets part nothing."""
        value = self.data.get(key)
        items = value if isinstance(value, list) else [] if value is None else [value]
        if all(isinstance(item, str) for item in items):
            return [piece for item in items for piece in _PIECE.findall(item)]
        self._note(key, f"must be names, in a list or parted by commas, got {quoted(value)}")
        return []


def _no_tool(name: str) -> str:
    if name in ("", ")"):
        return "a bracket is not closed, or no tool stands before it"
    same = next((tool for tool in _TOOLS if tool.casefold() == name.casefold()), "")
    near = f"; did you mean {same}" if same else did_you_mean(name, sorted(TOOLS))
    return f"{quoted(name)} is no tool of Claude Code{near}"
