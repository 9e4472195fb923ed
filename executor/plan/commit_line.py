"""The commit line that a task's text names."""

from __future__ import annotations

from executor.system import lazy_regex

MOST_CHARACTERS = 200
_COMMAND = lazy_regex.pattern(r"""git commit\b[^\n]*?-a?m[ \t]*(?:"((?:[^"\\\n]|\\.)+)"|'([^'\n]+)')""")
_LABEL = lazy_regex.pattern(
    r"(?im)^[ \t>*-]*\**(?:git[ \t]+)?commit(?:[ \t]+(?:message|line))?\**:\**[ \t]*(\S[^\n]*)$"
)
_HEADING = lazy_regex.pattern(
    r"(?im)^#{1,6}[ \t]+(?:git[ \t]+)?commit(?:[ \t]+(?:message|line))?[ \t#:]*\n(?:[ \t]*\n|[ \t]*[`~]{3}[^\n]*\n)*"
    r"[ \t>*-]*(?!#)(\S[^\n]*)$"
)


def commit_line(text: str) -> str:
    """Return the commit line in the text of a task, empty when it names none.

    It stands in a `git commit -m "..."`, behind `Commit:`, or below a heading `Commit message`.
    """
    found = _COMMAND.search(text)
    line = (found[1] or found[2]) if found else ""
    if not line:
        found = _LABEL.search(text) or _HEADING.search(text)
        line = found[1] if found else ""
    line = line.strip().strip("`\"'*").strip()
    return "".join(one for one in line if one.isprintable())[:MOST_CHARACTERS]
