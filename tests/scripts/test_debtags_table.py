"""The table of packages and debtags: apt's lists, the sample, the loaders, the split."""

from __future__ import annotations

import gzip
import json
import lzma
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from classification import labelling, package_lists, sampling, splits, table
from classification.pinned import OTHER, PINNED, SAMPLE, class_of, pinned
from classification.rows import Row, digest, line
from small_lm.errors import Trouble

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LIST = """Package: b-tool
Version: 1
Description: edit text in a terminal
 A long text that is no part of the table.
Tag: implemented-in::c, role::program,
 use::editing, works-with::text
Section: contrib/editors

Package: a-tool
Description: edit text in a terminal
Tag: use::editing
Section: editors

Package: untagged
Description: no tags
Section: misc

Package: c-tool
Description: draw a map, naïvely
Tag: role::program
Section: misc
"""
RELEASE = "Origin: Debian\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n"


def lists(folder, name="deb_dists_x_main_binary-amd64_Packages", content=None):
    (folder / name).write_bytes(LIST.encode() if content is None else content)
    (folder / "deb_dists_x_InRelease").write_text(RELEASE)
    return folder


def classify(*arguments, folder):
    command = [sys.executable, "-W", "error", str(SCRIPTS / "classify.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


# apt's lists


@pytest.mark.parametrize(
    ("ending", "packed"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)], ids=["plain", "gz", "xz"]
)
def test_packages_with_tags_are_read_from_a_list_in_each_form(tmp_path, ending, packed):
    lists(tmp_path, f"deb_dists_x_main_binary-amd64_Packages{ending}", packed(LIST.encode()))
    found = package_lists.read(tmp_path)
    assert [package.name for package in found] == ["a-tool", "b-tool", "c-tool"]
    assert found[1] == package_lists.Package(
        "b-tool",
        "edit text in a terminal",
        "editors",
        ("implemented-in::c", "role::program", "use::editing", "works-with::text"),
    )
    assert found[2].description == "draw a map, naïvely"
    assert package_lists.date_of(tmp_path) == "2026-07-11"


def test_of_a_name_in_two_lists_the_first_list_counts_and_other_files_are_none(tmp_path):
    lists(tmp_path)
    lists(tmp_path, "a_Packages", b"Package: a-tool\nDescription: of the first list\nTag: use::viewing\n")
    lists(tmp_path, "b_Translation-en", b"Package: other\nDescription: x\nTag: use::viewing\n")
    found = {package.name: package.description for package in package_lists.read(tmp_path)}
    assert found["a-tool"] == "of the first list"
    assert "other" not in found


def test_a_list_that_cannot_be_read_is_named(tmp_path):
    lists(tmp_path, "a_Packages.xz", lzma.compress(LIST.encode())[:-40])
    with pytest.raises(Trouble, match=r"a_Packages\.xz cannot be read .*: run apt-get update"):
        package_lists.read(tmp_path)


def test_of_copies_of_a_description_one_package_is_left(tmp_path):
    found = labelling.distinct(package_lists.read(lists(tmp_path)))
    assert [package.name for package in found] == ["b-tool", "c-tool"]
    rows = labelling.labelled(found, ("use::editing", "implemented-in::c"))
    assert rows == [Row("b-tool", "edit text in a terminal", "editors", ("implemented-in::c", "use::editing"))]


def test_labels_are_the_frequent_tags_of_some_facets():
    tags = ("use::viewing", "role::program")
    packages = [package_lists.Package(f"p{at}", f"text {at}", "misc", tags) for at in range(150)]
    assert labelling.frequent_labels(packages) == {"use::viewing": 150}
    assert labelling.frequent_labels(packages[1:]) == {}


@pytest.mark.parametrize("content", [b"", b"Package: x\nDescription: without tags\n"])
def test_the_sample_stands_in_for_lists_without_debtags_and_says_so(tmp_path, content):
    found = table.opened(str(lists(tmp_path, content=content)))
    assert (found.origin, found.digest) == ("sample", pinned().sample_sha256)
    assert found.note.endswith("the sample of 500 rows is used (apt-get update fetches the lists)")


def test_a_folder_without_lists_is_said(tmp_path):
    assert table.opened(str(tmp_path)).note.startswith(f"{tmp_path} has no package lists: the sample of 500 rows")


def test_the_lists_of_this_machine_give_the_pinned_table_or_say_that_they_are_others():
    if not package_lists.files(package_lists.LISTS):
        pytest.skip("apt has no lists here: run apt-get update on Debian")
    found = table.opened("apt")
    if found.digest == pinned().sha256:
        assert (found.note, found.date, len(found.rows)) == ("", pinned().date, pinned().rows)
        packages = labelling.distinct(package_lists.read(package_lists.LISTS))
        assert tuple(labelling.frequent_labels(packages)) == pinned().labels
        assert sampling.sample(found.rows) == list(table.opened("sample").rows)
    else:
        assert "compare scores within this table only" in found.note or found.origin == "sample"


# What is pinned


def test_the_pinned_labels_are_39_of_the_named_facets():
    content = json.loads(PINNED.read_text())
    assert len(pinned().labels) == 39
    assert all(rows >= labelling.MIN_ROWS for rows in content["labels"].values())
    assert {label.partition("::")[0] for label in pinned().labels} == set(labelling.FACETS)
    assert content["rule"] == labelling.RULE
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", content["date"])
    assert "licence" in content["licence"]


def test_the_sample_is_small_and_has_each_label_in_each_part():
    found = table.opened("sample")
    assert (len(found.rows), found.digest) == (pinned().sample_rows, pinned().sample_sha256)
    assert SAMPLE.stat().st_size < 150_000
    for part, rows in splits.split(found.rows).items():
        counts = Counter(label for row in rows for label in row.labels)
        assert min(counts[label] for label in pinned().labels) >= sampling.LEAST[part]


def test_a_section_with_few_rows_is_of_the_class_of_others():
    assert (class_of("games"), class_of("cli-mono"), class_of("")) == ("games", OTHER, OTHER)


# Files


def write(path, rows):
    """Write rows in the form that the ending of the path names."""
    if path.suffix == ".jsonl":
        path.write_text("".join(map(line, rows)))
    elif path.suffix == ".csv":
        text = "package,description,section,labels\n"
        quoted = (f'{row.package},"{row.description}",{row.section},{" ".join(row.labels)}\n' for row in rows)
        path.write_text(text + "".join(quoted))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist([json.loads(line(row)) for row in rows]), path)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_file_of_each_kind_gives_the_same_table(tmp_path, name):
    rows = table.opened("sample").rows[:20]
    found = table.opened(str(write(tmp_path / name, rows[::-1])))
    assert (found.origin, found.rows, found.digest) == ("file", rows, digest(rows))


def test_a_data_set_of_the_hub_is_a_table(tmp_path):
    pytest.importorskip("datasets")
    write(tmp_path / "train.jsonl", table.opened("sample").rows[:20])
    assert len(table.opened(f"hub:{tmp_path}").rows) == 20


def test_a_hub_that_cannot_be_had_is_told_in_words(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Trouble, match=r"(nobody/nothing cannot be loaded|pip install datasets)"):
        table.opened("hub:nobody/nothing")


GOOD = {"package": "a", "description": "a tool", "section": "misc", "labels": ["use::viewing"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ["use::viewin"]}, "row 2: no label 'use::viewin'; did you mean use::viewing?"),
        ({"labels": None}, "row 2: labels must be a list of texts, got 'None'"),
        ({"labels": [1]}, "row 2: labels must be a list of texts"),
        ({"package": ""}, "row 2: package must be a name without spaces, got ''"),
        ({"package": "two words"}, "row 2: package must be a name without spaces"),
        ({"package": 5}, "row 2: package must be text, got '5'"),
        ({"description": " "}, "row 2: b has no description"),
        ({"section": None}, "row 2: section must be text, got 'None'"),
        ({"package": "a"}, "row 2: 'a' stands in row 1 too"),
    ],
)
def test_a_wrong_row_is_named_with_its_file_and_number(tmp_path, change, said):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (GOOD, {**GOOD, "package": "b", **change})))
    with pytest.raises(Trouble) as trouble:
        table.opened(str(path))
    assert f"{path}, {said}" in str(trouble.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.csv",
            "package,description,section,label\n",
            r"a\.csv: no column 'labels'; did you mean label\?; there are: ",
        ),
        ("a.csv", "package,description,section,labels\n", r"a\.csv: no rows"),
        ("a.csv", "package,description,section,labels\na,b\n", r"a\.csv, row 2: section must be text, got 'None'"),
        ("a.jsonl", '"a text"\n', r"a\.jsonl, line 1: no object"),
        ("a.jsonl", "{\n", r"a\.jsonl, line 1: no JSON"),
        ("a.txt", "x\n", r"a\.txt: no file of rows; its ending must be one of \.csv"),
    ],
)
def test_a_file_that_is_no_table_is_told(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(Trouble, match=said) as trouble:
        table.opened(str(tmp_path / name))
    assert "text.column" not in str(trouble.value)


@pytest.mark.parametrize(("data", "near"), [("aptt", "did you mean apt?"), ("samples", "did you mean sample?")])
def test_a_table_that_is_not_there_is_told(data, near):
    with pytest.raises(Trouble) as trouble:
        table.opened(data)
    assert str(trouble.value).startswith(f"data={data}: no such file; {near}")


# The split


def test_the_part_of_a_package_depends_on_its_name_alone():
    rows = table.opened("sample").rows
    whole, half = splits.split(rows), splits.split(rows[::2])
    assert {row.package for row in half["test"]} <= {row.package for row in whole["test"]}
    assert [splits.part_of(name) for name in ("accerciser", "acl2", "adjtimex")] == ["test", "train", "train"]


def test_the_parts_have_their_shares():
    counts = Counter(splits.part_of(f"package-{number}") for number in range(20_000))
    assert {part: round(counts[part] / 20_000, 2) for part in splits.PARTS} == {
        "train": 0.70,
        "validation": 0.15,
        "test": 0.15,
    }


# The command


def test_the_table_is_written_and_read_again(tmp_path):
    done = classify("table", "data=sample", "--write", "rows.jsonl", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("500 rows: 320 train, 90 validation, 90 test\n")
    again = classify("table", "data=rows.jsonl", folder=tmp_path)
    assert f"digest {pinned().sample_sha256}\n" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["table", "data=nothing"], "error: data=nothing: no such file"),
        (["table", "hidden=3"], "error: table takes one setting"),
        (["pin", "--lists", "."], "error: . has no label with 150 packages"),
    ],
)
def test_wrong_words_end_in_one_line(tmp_path, arguments, said):
    done = classify(*arguments, folder=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(said)
