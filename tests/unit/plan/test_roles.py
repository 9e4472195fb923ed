"""Holds how role and skill files are read: as Claude Code does, but nothing is dropped in silence."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from executor.errors import DefinitionError
from executor.plan.frontmatter import LIMIT_BYTES
from executor.plan.roles import (
    TOOLS,
    Role,
    missing,
    not_offered,
    place_of,
    read_role,
    read_skill,
    reads_only,
    tools_of,
)

BOTH = ("bash", "str_replace_based_edit_tool", "done")


def role(*lines: str, body: str = "You train.") -> Role:
    return read_role("\n".join(("---", "name: smith", "description: d", *lines, "---", body)), "AGENT.md")


def refusal(text: str) -> str:
    with pytest.raises(DefinitionError) as caught:
        read_role(text, "AGENT.md")
    return str(caught.value)


def refused(*lines: str) -> str:
    return refusal("\n".join(("---", "name: smith", "description: d", *lines, "---", "b")))


def test_a_role_with_everything() -> None:
    text = (
        "---\nname: tinker-executor\ndescription: Trains\ntools: Bash, Read, WebSearch\ndisallowedTools: [WebFetch]\n"
        "model: sonnet\nmaxTurns: 50\nskills: tinker-api, other\ncolor: red\n---\n\nYou train.\n\nWell.\n"
    )
    assert read_role(text, "a/b.md") == Role(
        name="tinker-executor",
        description="Trains",
        model="sonnet",
        tools=("Bash", "Read", "WebSearch"),
        disallowed=("WebFetch",),
        max_turns=50,
        skills=("tinker-api", "other"),
        body="You train.\n\nWell.",
        file="a/b.md",
    )


def test_a_role_says_little() -> None:
    assert role() == Role("smith", "d", body="You train.", file="AGENT.md")


@pytest.mark.parametrize(
    ("line", "tools"),
    [
        ("tools: [Bash, Read]", ("Bash", "Read")),
        ("tools: Bash Read", ("Bash", "Read")),
        ("tools:\n  - Bash\n  - Read", ("Bash", "Read")),
        ("tools: >-\n  Bash,\n  Read", ("Bash", "Read")),
        ('tools: ["Bash, Read"]', ("Bash", "Read")),
        ("tools: Bash(python3:*, ls), Read", ("Bash", "Read")),
        ("tools: Bash(git status), Bash(ls)", ("Bash",)),
        ("tools: Agent(smith), KillShell", ("Agent", "TaskStop")),
        ("tools: Task", ("Agent",)),
        ("tools: mcp__db__query", ("mcp__db__query",)),
        ('tools: "*"', None),
        ('tools: [Bash, "*"]', None),
        ("tools:", ()),
        ('tools: ""', ()),
        ("tools: []", ()),
        ("color: red", None),
    ],
)
def test_tools_are_read_as_claude_code_reads_them(line: str, tools: tuple[str, ...] | None) -> None:
    assert role(line).tools == tools


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tools: bash", "'bash' is no tool of Claude Code; did you mean Bash"),
        ("tools: Bash, Raed", "'Raed' is no tool of Claude Code; did you mean Read"),
        ("tools: ls", "did you mean LS"),
        (
            "disallowedTools: Wrte",
            "AGENT.md:4:1: disallowedTools: 'Wrte' is no tool of Claude Code; did you mean Write",
        ),
        ('disallowedTools: "*"', "'*' is no tool"),
        ("tools: 5", "must be names, in a list or parted by commas, got 5"),
        ("tools: [Bash, 5]", "got a list"),
        ("tools: {Bash: 1}", "got a mapping"),
        ("tools: Bash(ls, Read", "a bracket is not closed"),
        ("tools: (ls)", "no tool stands before it"),
        ("tools: [Bash", "'[Bash' is no tool"),
        ("maxTurns: many", "maxTurns: must be a whole number, 1 or more, got 'many'"),
        ("maxTurns: 0", "got 0"),
        ("maxTurns: true", "got true"),
        ("maxTurns: 1.5", "got 1.5"),
        ("model: 4", "model: must be text, got 4: quote it"),
        ("skills: ../x", "is no skill's name: it is the NAME of .claude/skills/NAME/SKILL.md"),
        ("skills: {a: 1}", "got a mapping"),
        ("max_turns: 5", "AGENT.md:4:1: max_turns: unknown key; did you mean maxTurns"),
        ("Tool: Bash", "did you mean tools"),
        ("allowed-tools: Bash", "did you mean tools"),
        ("disallowed-tools: Bash", "did you mean disallowedTools"),
        ("name: again", "stands twice"),
    ],
)
def test_what_claude_code_drops_in_silence_is_refused(line: str, message: str) -> None:
    assert message in refused(line)


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    told = refused("maxTurns: 0", "tools: Bsh, Reed", "model: 1").splitlines()
    assert [line.split(":")[1] for line in told] == ["4", "5", "5", "6"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("You train.", "AGENT.md:1:1: a role begins with frontmatter"),
        ("", "a role begins with frontmatter"),
        ("\n---\nname: a\ndescription: b\n---\n", "a role begins with frontmatter"),
        ("---\nname: a\ndescription: b\n", "not closed: end it with a line ---"),
        ("---\nname: a\ndescription: b\n...\nb", "not closed"),
        ("---\n---\nb", "name: is missing, and Claude Code loads no role without it; add a line name: ..."),
        ("---\nname: a\n---\nb", "description: is missing"),
        ("---\nname: a\ndescription: ''\n---\nb", "description: is missing"),
        ("---\nname: 7\ndescription: b\n---\nb", "name: must be text, got 7: quote it"),
        ("---\n- a\n---\nb", "AGENT.md:2:1: the frontmatter must be keys and values, got a list"),
        ("---\nname: a\ndescription: b\n  x: [\n---\nb", "AGENT.md:4:"),
        ("---\nname: a\ndescription: b\ntools: [!!python/name:os.system x]\n---\nb", "no tool of Claude Code"),
    ],
)
def test_a_file_that_is_no_role_says_why(text: str, message: str) -> None:
    assert message in refusal(text)


def test_a_key_of_the_wrong_kind_is_told_once() -> None:
    assert refusal("---\nname: 7\ndescription: b\n---\nb").count("name:") == 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Use when: things go wrong", "Use when: things go wrong"),
        ("it's: so", "it's: so"),
        ("@smith does it", "@smith does it"),
        ("[draft] trains", "[draft] trains"),
        ("*bold* words", "*bold* words"),
        ("`code` first", "`code` first"),
        ("ends with:", "ends with:"),
        ("a: b \t ", "a: b"),
        ("a --- b", "a --- b"),
        ("!!python/name:os.system x", "!!python/name:os.system x"),
    ],
)
def test_a_description_that_is_prose_is_kept_whole(written: str, meant: str) -> None:
    read = read_role(f"---\nname: a\ndescription: {written}\ntools: [Bash, Read]\n---\nb", "f")
    assert (read.description, read.tools) == (meant, ("Bash", "Read"))


def test_tabs_indent() -> None:
    assert role("tools:\n\t- Bash\n\t- Read").tools == ("Bash", "Read")


def test_a_tab_parts_key_and_value() -> None:
    assert role("tools:\tBash").tools == ("Bash",)


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    plain = "---\nname: a\ndescription: b: c\ntools: Bash\n---\none\n\ntwo\n"
    assert read_role("\ufeff" + plain.replace("\n", "\r\n"), "f") == read_role(plain, "f")


def test_blanks_behind_the_dashes_change_nothing() -> None:
    assert read_role("---  \nname: a\ndescription: b\n---\t\nc", "f").body == "c"


def test_a_rule_in_the_body_stays() -> None:
    assert role(body="a\n---\nb").body == "a\n---\nb"


@pytest.mark.parametrize("written", ["inherit", "Inherit", '""', ""])
def test_an_inherited_model_is_the_configured_one(written: str) -> None:
    assert role(f"model: {written}").model == ""


def test_turns_in_quotes_count() -> None:
    assert role('maxTurns: "50"').max_turns == 50


def test_no_escape_and_no_hidden_character_is_left() -> None:
    read = role('model: "a\u200bb"', body="\x1b[31mred\x1b[0m \u202eevil\x07")
    assert (read.model, read.body) == ("a\\u200bb", "red \\u202eevil\\x07")


def test_a_huge_file_is_refused_with_the_limit() -> None:
    text = "---\nname: a\ndescription: b\n---\n"
    read_role(text + "é" * ((LIMIT_BYTES - len(text)) // 2), "f")
    assert f"at most {LIMIT_BYTES} are read" in refusal(text + "é" * (LIMIT_BYTES // 2))


@pytest.mark.parametrize(
    ("lines", "tools"),
    [
        ((), BOTH),
        (("tools: Bash",), ("bash", "done")),
        (("tools: Bash(python3:*)",), ("bash", "done")),
        (("tools: Read",), BOTH[1:]),
        (("tools: Edit",), BOTH[1:]),
        (("tools: Write",), BOTH[1:]),
        (("tools: NotebookEdit",), BOTH[1:]),
        (("tools: Write, Bash",), BOTH),
        (("tools: WebSearch, Agent",), ("done",)),
        (("tools: []",), ("done",)),
        (("disallowedTools: Bash",), BOTH[1:]),
        (("tools: Bash, Read", "disallowedTools: Bash(rm:*)"), BOTH[1:]),
        (("disallowedTools: Read, Edit, Write",), ("bash", "done")),
    ],
)
def test_a_role_gets_the_tools_that_it_names(lines: tuple[str, ...], tools: tuple[str, ...]) -> None:
    assert tools_of(role(*lines)) == tools


@pytest.mark.parametrize(
    ("lines", "only"),
    [
        ((), False),
        (("tools: Read, Bash",), True),
        (("tools: Read, Edit",), False),
        (("tools: NotebookEdit",), False),
        (("disallowedTools: Edit, Write",), True),
        (("disallowedTools: Edit",), False),
    ],
)
def test_a_role_that_may_only_read_is_known(lines: tuple[str, ...], only: bool) -> None:
    assert reads_only(role(*lines)) is only


def test_tools_that_we_have_not_are_named() -> None:
    named = role("tools: Bash, Agent, WebSearch, Grep, mcp__db", "disallowedTools: Grep")
    assert not_offered(named) == ("Agent", "WebSearch", "mcp__db")
    assert not_offered(role()) == ()


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_a_known_tool_is_served_or_said_to_be_missing(tool: str) -> None:
    read = role(f"tools: {tool}")
    assert (len(tools_of(read)) > 1) is not bool(not_offered(read))


def test_a_skill_is_read_with_all_its_keys() -> None:
    text = "---\nname: other\ndescription: Use when: needed\nallowed-tools: Bash\n---\n\n# Head\n"
    skill = read_skill(text, ".claude/skills/tinker-api/")
    assert (skill.name, skill.description, skill.body) == ("other", "Use when: needed", "# Head")
    assert (skill.folder, skill.extra, skill.files) == (".claude/skills/tinker-api", {"allowed-tools": "Bash"}, ())


@pytest.mark.parametrize(
    ("text", "name", "description"),
    [
        ("# Head line\n\nbody", "x", "Head line"),
        ("---\ndescription: d\n---\nb", "x", "d"),
        ("---\nname: y\n---\n\nFirst.\nSecond.", "y", "First."),
        ("---\n---\n", "x", ""),
        ("", "x", ""),
    ],
)
def test_a_skill_that_says_little_goes_by_its_folder(text: str, name: str, description: str) -> None:
    skill = read_skill(text, ".claude/skills/x")
    assert (skill.name, skill.description) == (name, description)


def test_the_problem_of_a_skill_names_its_file() -> None:
    with pytest.raises(DefinitionError, match=r"^\.claude/skills/x/SKILL\.md:2:1: name: must be text"):
        read_skill("---\nname: 7\n---\n", ".claude/skills/x")


def test_a_missing_skill_says_where_it_belongs() -> None:
    assert missing("tinker-api") == ("skill tinker-api is missing: it belongs in .claude/skills/tinker-api/SKILL.md")


def test_a_missing_skill_names_its_nearest() -> None:
    assert missing("tinker", known=["tinker-api", "docs"]).endswith("; did you mean tinker-api")


def test_a_folder_without_its_skill_is_not_offered_itself() -> None:
    assert missing("rules", known=["rules"]) == "skill rules is missing: it belongs in .claude/skills/rules/SKILL.md"


def test_a_skill_in_lower_case_is_told_to_be_renamed() -> None:
    assert "rename skill.md to SKILL.md" in missing("x", entries=["a.md", "skill.md"])


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a b", "a\nb", "x" * 129])
def test_no_skill_leads_out_of_its_folder(name: str) -> None:
    with pytest.raises(DefinitionError, match=r"is no skill's name"):
        place_of(name)


LINES = st.one_of(
    st.sampled_from(
        [
            *("---", "...", "name: a", "description: b", "description: b: c", "tools: Bash(", "\t- x", "  - y", "x: |"),
            *("tools: [Bash,", "]", "&a b: *a", "<<: {a: 1}", "maxTurns: 99999999999999999999", "skills: [a, [b]]"),
            *("? [a]", "x: !!int 5", "name: \x1b[1m", "'", '"\\u12', "{a: {b: {c", "\ufeff---", "- ---", "%YAML 9"),
        ]
    ),
    st.text(max_size=20),
)
FILES = st.lists(LINES, max_size=10).map("\n".join)
HEADED = FILES.map(lambda lines: f"---\nname: a\ndescription: b\n{lines}\n---\nbody")


def problems_of(text: str) -> str:
    """What is wrong with a role file, empty when it is one; anything but a DefinitionError goes on."""
    try:
        read = read_role(text, "f")
    except DefinitionError as wrong:
        return str(wrong)
    return "" if read.name and read.description else "half a role"


def is_told_of(file: str, told: str) -> bool:
    return all(line.startswith(file + ":") for line in told.splitlines())


@given(st.one_of(st.text(), FILES, HEADED))
@example("---\n\ud800: 1\n---")
@example("---\n" + "[" * 5000 + "\n---\n")
@example("---\n" + "a: b: c\n" * 500 + "---\n")
@example("---\nx: [\ny: z" + " \t" * 100_000 + "q\n---\n")
@example('---\nname: "\\UFFFFFFFF"\n---\n')
def test_any_text_is_a_role_or_a_definition_error(text: str) -> None:
    assert is_told_of("f", problems_of(text))


@given(st.one_of(st.text(), FILES, HEADED))
def test_any_text_is_a_skill_or_a_definition_error(text: str) -> None:
    told = ""
    try:
        read_skill(text, "s/x")
    except DefinitionError as wrong:
        told = str(wrong)
    assert is_told_of("s/x/SKILL.md", told)


@pytest.mark.deep
@given(st.sampled_from(["tools", "model", "maxTurns", "skills", "x"]), st.text(), FILES)
def test_any_value_is_taken_or_a_definition_error(key: str, value: str, below: str) -> None:
    assert is_told_of("f", problems_of(f"---\nname: a\ndescription: b\n{key}: {value}\n{below}\n---\n"))
