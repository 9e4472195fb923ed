"""Holds which paths an agent must leave alone, and what a SPEC.md may look like after its work."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from executor.guard import path_patterns
from executor.plan.spec import spec_md
from executor.plan.spec.spec_md import Mark

PASSED = Mark("passed", "task_2_a1b2c3d4", "2026-11-22 10:30", "1 proven")
FAILED = Mark("failed", "task_2_a1b2c3d4", "2026-11-22 10:30", "died: exit 1")
STARTED = Mark("started", "task_2_a1b2c3d4", "2026-11-22 10:30")
PLAN = b"# Plan\n\n- [ ] **STEP 1**: One\n- [ ] **STEP 2**: Two\n  more of two\n- [x] **STEP 3**: Three\n"

names = st.sampled_from(("a", "b", ".a", "ab", "tests", "A", "[", "é"))
patterns = st.sampled_from(("a", "b", "*", "**", "?", "a*", ".*", "[ab]", "[!a]", "tests", "[", "é"))
paths = st.lists(names, min_size=1, max_size=5).map("/".join)
globs = st.lists(patterns, min_size=1, max_size=5).map("/".join)


def plainly(names, parts):
    """Tell slowly whether names match the parts of a glob, by trying all that `**` may stand for."""
    if not parts:
        return not names
    if parts[0] == "**":
        return any(plainly(names[at:], parts[1:]) for at in range(len(names) + 1))
    return bool(names) and like(names[0], parts[0]) and plainly(names[1:], parts[1:])


def like(name, pattern):
    """Tell slowly whether a name matches, a character at a time."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(like(name[at:], pattern[1:]) for at in range(len(name) + 1))
    choice = re.match(r"\[(!?)([^\]]+)\]", pattern)
    if choice and name:
        return ((name[0] in choice[2]) != bool(choice[1])) and like(name[1:], pattern[choice.end() :])
    return bool(name) and pattern[0] in ("?", name[0]) and like(name[1:], pattern[1:])


# Which paths


@given(paths, globs)
@example("tests/a/b", "tests/**")
@example("a", "**/a")
@example("[", "[")
@example("a/b", "a")
def test_a_path_matches_as_a_slow_reading_of_the_glob_says(path, glob):
    parts = glob.split("/")
    below = [] if any(char in glob for char in "*?[") else ["**"]
    expected = plainly(path.split("/"), [*parts, *below])
    assert path_patterns.matching_glob(path, (glob,)) == (glob if expected else "")


@given(paths, globs)
def test_a_walk_that_stops_where_nothing_below_can_match_misses_nothing(path, glob):
    *above, name = path.split("/")
    states = path_patterns.advance(glob, above)
    if path_patterns.matching_glob(path, (glob,)):
        assert states
        assert path_patterns.accepts(glob, path_patterns.advance(glob, (name,), states))


@given(paths, globs)
def test_what_a_glob_matches_lies_where_it_begins(path, glob):
    start = "/".join(path_patterns.fixed_start(glob))
    if path_patterns.matching_glob(path, (glob,)) and start:
        assert f"{path}/".startswith(f"{start}/")


@pytest.mark.parametrize(
    ("path", "glob"),
    [
        ("SPEC.md", "SPEC.md"),
        ("./SPEC.md", "SPEC.md"),
        ("tests", "tests/**"),
        ("tests/a/b.py", "tests/**"),
        ("tests/.hidden", "tests/**"),
        ("src/../tests/a.py", "tests/**"),
        ("step_definitions.yaml", "step_definitions.yaml"),
        (".claude/tasks/step_definitions.yaml", ".claude/tasks/step_definitions.yaml"),
        ("data/gold/1.txt", "data/gold"),
        ("uv.lock", "**/*.lock"),
        ("a/b/uv.lock", "**/*.lock"),
    ],
)
def test_what_judges_is_guarded(path, glob):
    assert (
        path_patterns.matching_glob(
            path, path_patterns.judge_globs(["./data//gold/", "**/*.lock"], "step_definitions.yaml")
        )
        == glob
    )


@pytest.mark.parametrize("path", ["", ".", "spec.md", "SPEC.md.bak", "mytests/a.py", "src/tests/a.py", "data", "../x"])
def test_what_does_not_judge_is_free(path):
    assert not path_patterns.matching_glob(path, path_patterns.judge_globs(["data/gold"], "step_definitions.yaml"))


def test_each_glob_is_there_once_and_none_outside_the_project():
    made = path_patterns.judge_globs(
        ["SPEC.md", "./tests/**", "/etc/passwd", "../other", "a/../b", ""], "step_definitions.yaml"
    )
    assert made == ("SPEC.md", "step_definitions.yaml", ".claude/tasks/step_definitions.yaml", "tests/**", "b")


@pytest.mark.parametrize("path", ["tests/__pycache__/a.cpython-311.pyc", "a.pyc", ".pytest_cache/x", "t/.hypothesis"])
def test_what_running_the_tests_makes_is_a_cache(path):
    assert path_patterns.is_cache(path)


@pytest.mark.parametrize("path", ["tests/a.py", "pycache", "a.pyco", "tests/__pycache__2/a.py"])
def test_what_a_person_writes_is_no_cache(path):
    assert not path_patterns.is_cache(path)


# What SPEC.md may be

LINES = ["- [ ] **STEP 1**: a", "- [x] **STEP 2**: b ✓ [2026-11-22 10:30]", "  * [~] **STEP 2**: c", "prose", "```", ""]
specs = st.lists(st.sampled_from(LINES) | st.text(max_size=12), max_size=8).flatmap(
    lambda lines: st.sampled_from(["\n", "\r\n"]).map(lambda eol: eol.join(lines).encode("utf-8", "surrogatepass"))
)
texts = st.tuples(st.sampled_from([b"", b"\xef\xbb\xbf"]), specs | st.binary(max_size=40)).map(b"".join)


@given(texts, texts)
def test_what_the_log_does_not_explain_is_as_it_was(before, now):
    assert path_patterns.allowed_spec(before, now, {}) == before


@given(texts, texts, st.dictionaries(st.integers(1, 3), st.sampled_from([" x~", "x", ""])))
def test_what_it_must_be_is_itself_allowed(before, now, explained):
    allowed = path_patterns.allowed_spec(before, now, explained)
    assert path_patterns.allowed_spec(before, allowed, explained) == allowed


@given(texts, texts, st.dictionaries(st.integers(1, 2), st.just(" x~")))
def test_every_line_but_those_explained_is_as_it_was(before, now, explained):
    allowed = path_patterns.allowed_spec(before, now, explained)
    kept = [box for box in spec_md.boxes(before) if box.number not in explained]
    assert [(box.number, box.state, box.title, box.mark) for box in kept] == [
        (box.number, box.state, box.title, box.mark) for box in spec_md.boxes(allowed) if box.number not in explained
    ]


@pytest.mark.parametrize(("state", "mark"), [("x", PASSED), (" ", FAILED), ("~", STARTED)])
@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_what_we_wrote_for_an_explained_step_stays(state, mark, eol, bom):
    before = bom + PLAN.replace(b"\n", eol)
    now = spec_md.patch(before, spec_md.find(before, 2), state=state, mark=mark)
    assert path_patterns.allowed_spec(before, now, {2: state}) == now


def test_beside_an_explained_step_a_forged_tick_is_taken_back():
    ours = spec_md.tick(PLAN, 2, PASSED)
    forged = ours.replace(b"[ ] **STEP 1**", b"[x] **STEP 1**")
    assert path_patterns.allowed_spec(PLAN, forged, {2: "x"}) == ours


def test_a_state_that_the_log_does_not_explain_is_taken_back():
    assert path_patterns.allowed_spec(PLAN, spec_md.tick(PLAN, 2, PASSED), {2: " ~"}) == PLAN


def test_of_an_explained_line_the_title_is_not_taken():
    now = spec_md.tick(PLAN.replace(b"Two", b"Nothing"), 2, PASSED)
    assert path_patterns.allowed_spec(PLAN, now, {2: "x"}) == spec_md.tick(PLAN, 2, PASSED)


def test_a_line_that_we_appended_stays():
    now = spec_md.append_line(PLAN, 4, "Four")
    assert path_patterns.allowed_spec(PLAN, now, {4: " "}) == now


@pytest.mark.parametrize("now", [b"", PLAN.replace(b"STEP 2", b"STEP 9"), PLAN + b"- [x] **STEP 2**: again\n"])
def test_an_explained_step_that_is_gone_or_there_twice_is_as_it_was(now):
    assert path_patterns.allowed_spec(PLAN, now, {2: " x~"}) == PLAN
