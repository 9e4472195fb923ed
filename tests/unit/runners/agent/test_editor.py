"""Holds the editor of an agent to the project, and its answers to whatever a model can send."""

from __future__ import annotations

import json
import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.runners.agent.editor import WANTED, Editor
from executor.system.masking import Masker

KEY = "tml-Zq8Rk2Vx7Lw3Np5Ts9Yb1Mc4"
PEM = "-----BEGIN-----\nhello world again\n-----END-----"
POEM = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n"


def refuses(path):
    return "it judges this work" if path == "SPEC.md" or path.startswith("tests/") else ""


class Desk:
    """A project in a folder with an editor on it."""

    def __init__(self, root, **changes):
        self.root = root
        root.mkdir(exist_ok=True)
        given = {"refuses": refuses, "views_only": False, "masker": Masker([KEY, PEM])}
        self.editor = Editor(root=str(root), **{**given, **changes})

    def __call__(self, command, path, **given):
        return self.editor({"command": command, "path": str(path), **given})

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def read(self, name):
        return (self.root / name).read_bytes().decode()


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "project")


# View


def test_a_file_is_shown_with_its_line_numbers(desk):
    desk.write("a", "one\n\ttwo\n")
    assert desk("view", "a").text == "     1\tone\n     2\t\ttwo"


@pytest.mark.parametrize(
    ("asked", "lines"), [([2, 3], "two three"), ([9, -1], "nine ten"), ([10, 99], "ten"), ([1, 1], "one")]
)
def test_a_part_is_shown(desk, asked, lines):
    desk.write("a", POEM)
    shown = desk("view", "a", view_range=asked).text.split("\n")
    assert " ".join(line.split("\t")[1] for line in shown) == lines


@pytest.mark.parametrize("asked", [[0, 3], [11, 12], [3, 2], [1], [1, 2, 3], ["1", 2], [True, 2], "1-2", {}, [1.0, 2]])
def test_a_part_that_is_none_is_answered_with_what_would_be(desk, asked):
    desk.write("a", POEM)
    said = desk("view", "a", view_range=asked)
    assert (said.failed, "view_range must" in said.text) == (True, True)


def test_a_long_file_is_cut_with_how_to_see_more(desk):
    desk.write("a", "".join(f"line {number}\n" for number in range(1, 5001)))
    last = desk("view", "a").text.split("\n")[-1]
    number = int(last.split()[1])
    assert last == f"[line {number} of 5000: view_range [{number + 1}, 5000] shows what follows]"
    assert desk("view", "a", view_range=[number + 1, 5000]).text.startswith(f"{number + 1:6}\tline {number + 1}\n")


def test_a_long_line_is_cut(desk):
    desk.write("a", "x" * 5000 + "\nend\n")
    assert desk("view", "a").text.endswith(" [... 3,000 more characters]\n     2\tend")


def test_a_folder_is_shown_two_levels_deep_without_what_is_hidden(desk):
    for name in ("b/c/d", "b/.e", ".f/g", "a"):
        desk.write(name, "")
    assert desk("view", ".").text == "./\na\nb/\nb/c/"


def test_a_link_in_a_folder_is_not_followed(desk):
    desk.write("b/c", "")
    (desk.root / "loop").symlink_to(desk.root)
    assert desk("view", ".").text == "./\nb/\nb/c\nloop"


def test_a_folder_with_very_many_files_is_cut(desk):
    for number in range(510):
        desk.write(f"many/{number}", "")
    assert desk("view", "many").text.endswith("[10 more: view a folder in it]")


def test_an_empty_file_is_called_empty(desk):
    desk.write("a", "")
    assert desk("view", "a").text == "a is empty"


@pytest.mark.parametrize(
    ("content", "words"), [(b"a\0b", "binary"), (b"a" * (1024**2 + 1), "larger than 1 MiB"), (None, "there is no a")]
)
def test_what_cannot_be_shown_is_named(desk, content, words):
    if content is not None:
        desk.write("a", content)
    said = desk("view", "a")
    assert (said.failed, words in said.text) == (True, True)


@pytest.mark.parametrize("command", ["view", "create", "str_replace", "insert"])
def test_a_pipe_is_not_opened(desk, command):
    os.mkfifo(desk.root / "a")
    said = desk(command, "a", file_text="a", old_str="a", new_str="b", insert_line=0, insert_text="a")
    assert (said.failed, "no regular file" in said.text) == (True, True)


def test_control_characters_are_spelled_out(desk):
    desk.write("a", "\x1b[31mred\x07\u202e\r\n")
    assert desk("view", "a").text == "     1\tred\\x07\\u202e"


# Write


def test_a_file_is_created_with_the_folders_that_are_missing(desk):
    said = desk("create", "a/b/c.py", file_text="x = 1\n")
    assert (said.text, said.failed, desk.read("a/b/c.py")) == ("a/b/c.py created", False, "x = 1\n")


def test_a_new_file_has_the_rights_that_new_files_have(desk):
    desk("create", "a", file_text="")
    desk.write("b", "")
    assert stat.S_IMODE(os.stat(desk.root / "a").st_mode) == stat.S_IMODE(os.stat(desk.root / "b").st_mode)


@pytest.mark.parametrize("command", ["create", "str_replace", "insert"])
def test_a_write_keeps_the_rights(desk, command):
    desk.write("a", "one\n").chmod(0o751)
    assert not desk(command, "a", file_text="x", old_str="one", new_str="x", insert_line=0, insert_text="x").failed
    assert stat.S_IMODE(os.stat(desk.root / "a").st_mode) == 0o751


def test_nothing_but_the_file_is_left_beside_it(desk):
    desk("create", "a", file_text="x")
    assert os.listdir(desk.root) == ["a"]


def test_an_absolute_path_in_the_project_is_as_good(desk):
    assert not desk("create", desk.root / "a", file_text="x").failed
    assert desk.read("a") == "x"


def test_one_place_is_replaced(desk):
    desk.write("a", POEM)
    said = desk("str_replace", "a", old_str="four\nfive", new_str="4\n5\n5b")
    assert desk.read("a") == POEM.replace("four\nfive", "4\n5\n5b")
    assert said.text.split("\n")[0] == "a changed:"
    assert "     4\t4\n     5\t5\n     6\t5b\n" in said.text


@pytest.mark.parametrize("given_", [{}, {"new_str": ""}])
def test_no_new_text_takes_the_old_one_out(desk, given_):
    desk.write("a", POEM)
    desk("str_replace", "a", old_str="one\n", **given_)
    assert desk.read("a") == POEM.removeprefix("one\n")


@pytest.mark.parametrize(
    ("text", "old", "words"),
    [
        ("a\nb\na\n", "a", "2 times, on the lines 1, 3"),
        ("aaa", "aa", "2 times, on the lines 1"),
        ("x" * 1000, "x", "at least 100 times"),
        ("  one\n", "\tone\n", "its first line stands on 1"),
        ("one\n", "two", "view it, and copy"),
        ("one\n", "", "old_str must be"),
        ("one\n", "one", "new_str a different one"),
    ],
)
def test_a_text_that_is_not_there_once_changes_nothing(desk, text, old, words):
    desk.write("a", text)
    said = desk("str_replace", "a", old_str=old, new_str="one")
    assert (said.failed, words in said.text, desk.read("a")) == (True, True, text)


@pytest.mark.parametrize(
    ("before", "line", "text", "after"),
    [
        ("a\nb\n", 0, "x", "x\na\nb\n"),
        ("a\nb\n", 1, "x\n", "a\nx\nb\n"),
        ("a\nb\n", 2, "x", "a\nb\nx\n"),
        ("a\nb", 2, "x", "a\nb\nx\n"),
        ("", 0, "x", "x\n"),
        ("a\r\nb", 2, "x\ny", "a\r\nb\r\nx\r\ny\r\n"),
    ],
)
def test_lines_are_inserted_after_a_line(desk, before, line, text, after):
    desk.write("a", before)
    assert not desk("insert", "a", insert_line=line, insert_text=text).failed
    assert desk.read("a") == after


@pytest.mark.parametrize("line", [-1, 3, True, "1", 1.0, None, 10**30])
def test_a_line_that_is_not_there_is_answered_with_those_that_are(desk, line):
    desk.write("a", "a\nb\n")
    assert "a number from 0 to 2" in desk("insert", "a", insert_line=line, insert_text="x").text


@pytest.mark.parametrize(
    ("command", "given_", "after"),
    [
        ("str_replace", {"old_str": "a\nb", "new_str": "c\nd"}, "c\r\nd\r\n"),
        ("insert", {"insert_line": 1, "insert_text": "x\ny"}, "a\r\nx\r\ny\r\nb\r\n"),
        ("create", {"file_text": "x\ny\n"}, "x\r\ny\r\n"),
    ],
)
def test_line_ends_stay_as_they_are(desk, command, given_, after):
    desk.write("a", "a\r\nb\r\n")
    assert not desk(command, "a", **given_).failed
    assert desk.read("a") == after


def test_bytes_that_are_no_text_stay_as_they_are(desk):
    path = desk.write("a", b"caf\xe9\none\n\xff")
    assert not desk("str_replace", "a", old_str="one", new_str="two").failed
    assert path.read_bytes() == b"caf\xe9\ntwo\n\xff"


def test_a_hard_link_to_what_is_protected_does_not_lead_to_it(desk):
    desk.write("SPEC.md", "- [ ] a\n")
    os.link(desk.root / "SPEC.md", desk.root / "other")
    desk("create", "other", file_text="- [x] a\n")
    assert desk.read("SPEC.md") == "- [ ] a\n"


@pytest.mark.parametrize("command", ["create", "str_replace", "insert"])
def test_a_role_that_may_only_view_writes_nothing(tmp_path, command):
    desk = Desk(tmp_path / "project", views_only=True)
    desk.write("a", "one\n")
    said = desk(command, "a", file_text="x", old_str="one", new_str="x", insert_line=0, insert_text="x")
    assert (said.failed, "may view" in said.text, desk.read("a")) == (True, True, "one\n")
    assert not desk("view", "a").failed


# Where


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/hostname", "a/../../outside", "link", "inner/link/a", "inner/../link", "dangling", "/"]
)
@pytest.mark.parametrize("command", ["view", "create"])
def test_a_path_that_leads_out_is_refused(desk, path, command):
    outside = desk.root.parent / "outside"
    outside.write_text("secret plan")
    desk.write("inner/b", "")
    (desk.root / "link").symlink_to(outside)
    (desk.root / "dangling").symlink_to(desk.root.parent / "nobody")
    (desk.root / "inner" / "link").symlink_to(desk.root.parent)
    said = desk(command, path, file_text="x")
    assert (said.failed, str(desk.root) in said.text, "secret plan" in said.text) == (True, True, False)
    assert (outside.read_text(), (desk.root.parent / "nobody").exists()) == ("secret plan", False)
    assert sorted(os.listdir(desk.root.parent)) == ["outside", "project"]


def test_a_folder_beside_with_the_same_beginning_is_outside(desk):
    (desk.root.parent / "project2").mkdir()
    assert desk("create", "../project2/a", file_text="x").failed


def test_a_project_reached_by_a_link_is_the_same(tmp_path):
    Desk(tmp_path / "project")
    (tmp_path / "link").symlink_to(tmp_path / "project")
    desk = Desk(tmp_path / "link")
    assert not desk("create", tmp_path / "link" / "a", file_text="x").failed
    assert desk("create", tmp_path / "link" / "SPEC.md", file_text="x").failed


@pytest.mark.parametrize("path", ["SPEC.md", "./SPEC.md", "a/../SPEC.md", "tests/test_a.py", "tests/new/b.py", "link"])
@pytest.mark.parametrize("command", ["create", "str_replace", "insert"])
def test_what_judges_is_not_changed(desk, command, path):
    for name in ("SPEC.md", "tests/test_a.py", "a/b"):
        desk.write(name, "one\n")
    (desk.root / "link").symlink_to("SPEC.md")
    said = desk(command, path, file_text="x", old_str="one", new_str="x", insert_line=0, insert_text="x")
    assert (said.failed, "it judges this work" in said.text) == (True, True)
    assert (desk.read("SPEC.md"), (desk.root / "tests/new").exists()) == ("one\n", False)


def test_a_protected_name_that_leads_elsewhere_is_not_changed(desk):
    desk.write("real.md", "one\n")
    (desk.root / "SPEC.md").symlink_to("real.md")
    assert desk("create", "SPEC.md", file_text="x").failed
    assert desk.read("real.md") == "one\n"


def test_what_judges_may_be_viewed(desk):
    desk.write("SPEC.md", "- [ ] a\n")
    assert desk("view", "SPEC.md").text == "     1\t- [ ] a"


def test_a_folder_is_not_written(desk):
    desk.write("a/b", "")
    assert "is a folder" in desk("create", "a", file_text="x").text


def test_a_file_in_the_way_of_a_folder_is_answered(desk):
    desk.write("a", "one")
    assert desk("create", "a/b", file_text="x").failed


# Secrets


def test_a_secret_is_masked_in_a_view(desk):
    desk.write("a", f"key: {KEY}\n")
    assert desk("view", "a").text == "     1\tkey: ***"


def test_a_secret_of_several_lines_keeps_the_numbers(desk):
    desk.write("a", f"{PEM}\nlast\n")
    text = desk("view", "a").text
    assert ("hello" in text, text.endswith("     4\tlast")) == (False, True)


def test_a_secret_is_masked_in_the_answer_to_a_change(desk):
    desk.write("a", f"key: {KEY}\none\n")
    assert KEY not in desk("str_replace", "a", old_str="one", new_str="two").text
    assert desk.read("a") == f"key: {KEY}\ntwo\n"


@pytest.mark.parametrize(
    ("command", "given_"),
    [("create", {"file_text": "key: ***\ntwo\n"}), ("str_replace", {"old_str": "one", "new_str": "***"})],
)
def test_the_veil_does_not_overwrite_a_secret(desk, command, given_):
    desk.write("a", f"key: {KEY}\none\n")
    said = desk(command, "a", **given_)
    assert (said.failed, "holds a secret" in said.text, desk.read("a")) == (True, True, f"key: {KEY}\none\n")


def test_three_stars_are_no_veil_where_there_is_no_secret(desk):
    desk.write("a", "one\n***\n")
    assert not desk("create", "a", file_text="***\n").failed


# Whatever is sent


@pytest.mark.parametrize("given_", [{}, {"command": "undo_edit", "path": "a"}, {"command": []}, [], None, "view"])
def test_an_unknown_command_is_answered_with_the_known_ones(desk, given_):
    said = desk.editor(given_)
    assert (said.text, said.failed) == (WANTED, True)


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800", None, 3, [], "x" * 300, "a/" * 3000])
@pytest.mark.parametrize("command", ["view", "create"])
def test_a_path_that_is_none_is_answered(desk, command, path):
    said = desk.editor({"command": command, "path": path, "file_text": "x"})
    assert (said.failed, bool(said.text)) == (True, True)


def test_a_very_long_chain_of_links_is_answered(desk):
    for number in range(1200):
        (desk.root / f"l{number}").symlink_to(f"l{number + 1}")
    assert desk("view", "l0").failed


def test_half_a_character_is_answered(desk):
    said = desk("create", "a", file_text="x\ud800")
    assert (said.failed, "lone surrogate" in said.text, os.listdir(desk.root)) == (True, True, [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
PATHS = st.sampled_from(["a", "b/c", ".", "b", "..", "/etc", "SPEC.md", "pipe", "loop", "out/x", "~", "//a", "a/"])
TEXTS = st.text(st.sampled_from("ab\n\r*\0\x1b\ud800\udcff"), max_size=6)
SENT = st.fixed_dictionaries(
    {"command": st.sampled_from(["view", "create", "str_replace", "insert"]) | JSON, "path": PATHS | TEXTS | JSON},
    optional={
        "file_text": TEXTS | JSON,
        "old_str": TEXTS | JSON,
        "new_str": TEXTS | JSON,
        "insert_line": st.integers(-2, 4) | JSON,
        "insert_text": TEXTS | JSON,
        "view_range": st.lists(st.integers(-2, 4), max_size=3) | JSON,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SENT, min_size=1, max_size=4) | st.lists(JSON, max_size=2))
def test_whatever_is_sent_is_answered_and_stays_in_the_project(tmp_path_factory, sent):
    folder = tmp_path_factory.mktemp("fuzz")
    desk = Desk(folder / "project")
    for name, text in {"a": "a\nb\n", "b/c": "a\r\n*\r\n", "SPEC.md": "- [ ] a\n"}.items():
        desk.write(name, text)
    os.mkfifo(desk.root / "pipe")
    (desk.root / "loop").symlink_to("loop")
    (desk.root / "out").symlink_to(folder)
    for one in sent:
        assert json.dumps(desk.editor(one).text).encode()
    assert (os.listdir(folder), desk.read("SPEC.md")) == (["project"], "- [ ] a\n")
