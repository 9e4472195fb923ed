from __future__ import annotations

import os

import pytest

from executor.system.file_tail import BLOCK_BYTES
from tests.unit.places import Looks

LATER_NS = 2**62


def add(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


@pytest.fixture
def own(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "stdout.log"


# log


def test_growth_is_progress_and_the_last_line_is_told(tmp_path):
    path = tmp_path / "train.log"
    add(path, "one\ntwo\n")
    looks = Looks("log", "train.log", tmp_path)
    first = looks.look()
    add(path, "three\n")
    second = looks.look()
    assert (first.progress, first.text, first.values["lines_new"]) == (8, "two", 2)
    assert (second.progress, second.text, second.values) == (14, "three", {"bytes": 14, "lines_new": 1, "matches": 0})


def test_a_match_is_counted_once_and_shown(tmp_path):
    path = tmp_path / "train.log"
    looks = Looks("log", {"file": "train.log", "match": "error|nan"}, tmp_path)
    add(path, "all well\nERROR: no disk\nall well\n")
    first, second = looks.look(), looks.look()
    assert (first.values["matches"], first.text) == (1, "ERROR: no disk")
    assert (second.values["matches"], second.text) == (1, "ERROR: no disk")


def test_a_torn_line_matches_once_it_is_whole(tmp_path):
    path = tmp_path / "train.log"
    looks = Looks("log", {"file": "train.log", "match": "error"}, tmp_path)
    add(path, "err")
    first = looks.look().values["matches"]
    add(path, "or\n")
    assert (first, looks.look().values["matches"]) == (0, 1)


def test_a_bar_that_ends_no_line_is_shown_as_it_stands(tmp_path):
    add(tmp_path / "train.log", "started\n\r 10%|# \r 20%|##")
    looks = Looks("log", "train.log", tmp_path)
    looks.look()
    add(tmp_path / "train.log", "\r 30%|###")
    assert looks.look().text == "30%|###"


def test_a_look_at_a_log_tells_how_many_bytes_came(tmp_path, own):
    add(own, "started\n")
    log, progress = Looks("log", "stdout", tmp_path), Looks("progress", True, tmp_path)
    first = log.look().bytes, progress.look().bytes
    add(own, "\r 10%|#")
    second = log.look().bytes, progress.look().bytes
    assert (first, second, (log.look().bytes, progress.look().bytes)) == ((8, 8), (7, 7), (0, 0))


def test_a_log_that_was_cut_goes_on_growing(tmp_path):
    path = tmp_path / "train.log"
    add(path, "one\ntwo\nthree\n")
    looks = Looks("log", "train.log", tmp_path)
    looks.look()
    path.write_text("four\n")
    reading = looks.look()
    assert (reading.progress, reading.text, reading.values["bytes"]) == (19, "four", 5)


def test_lines_of_an_earlier_run_match_nothing(tmp_path):
    path = tmp_path / "train.log"
    add(path, "error\n")
    looks = Looks("log", {"file": "train.log", "match": "error"}, tmp_path, began_ns=LATER_NS)
    before = looks.look()
    add(path, "an error\n")
    after = looks.look()
    assert (before.there, before.values["matches"]) == (False, 0)
    assert (after.there, after.values["matches"], after.progress) == (True, 1, 9)


def test_the_jobs_own_output_has_a_name(tmp_path, own):
    add(own, "hello\n")
    assert Looks("log", "stdout", tmp_path).look().text == "hello"


def test_several_megabytes_are_searched_in_one_look(tmp_path):
    add(tmp_path / "train.log", "first\n")
    looks = Looks("log", {"file": "train.log", "match": "error"}, tmp_path)
    looks.look()
    add(tmp_path / "train.log", ("x" * 99 + "\n") * (3 * BLOCK_BYTES // 100) + "error\n")
    assert looks.look().values["matches"] == 1


def test_a_line_for_a_person_is_short_and_printable(tmp_path):
    (tmp_path / "train.log").write_bytes(b"\x1b[31m\x07\xff" + b"long " * 1000 + b"\n")
    text = Looks("log", "train.log", tmp_path).look().text
    assert text.startswith("\ufffdlong long")
    assert text.isprintable()
    assert len(text) <= 160


@pytest.mark.parametrize(("make", "kind"), [(os.mkfifo, "pipe"), (os.mkdir, "folder")])
def test_what_is_no_log_is_named(tmp_path, make, kind):
    make(tmp_path / "train.log")
    reading = Looks("log", "train.log", tmp_path).look()
    assert (reading.there, reading.text) == (False, f"train.log: it is a {kind}, not a file")


def test_a_missing_log_is_not_there_yet(tmp_path):
    reading = Looks("log", "logs/*.log", tmp_path).look()
    assert (reading.there, reading.text) == (False, "logs/*.log: is not there yet")


# progress


def test_the_last_word_on_progress_counts(tmp_path, own):
    add(own, '{"progress": {"done": 10, "total": 90}}\nhello\n{"progress": {"done": 20, "total": 90}}\nhello\n')
    reading = Looks("progress", True, tmp_path).look()
    assert (reading.progress, reading.total, reading.text) == (20, 90, "20 of 90")


def test_progress_stays_known_while_nothing_is_said(tmp_path, own):
    add(own, '{"progress": {"done": 10, "total": null}}\n')
    looks = Looks("progress", True, tmp_path)
    looks.look()
    reading = looks.look()
    assert (reading.there, reading.progress, reading.total, reading.values) == (True, 10, None, {"done": 10})


@pytest.mark.parametrize(
    "line",
    [
        '{"progress": 3}',
        '{"progress": {"done": true, "total": 3}}',
        '{"progress": {"done": NaN}}',
        '{"progress": {"done": 1e999}}',
        '{"progress": {"done": 1' + "0" * 400 + "}}",
        '{"progress": {"total": 3}}',
        '{"progress": {"done": 3, "total": "many"}}',
        '{"progress": ' + '{"a": ' * 3000,
        '{"progress"',
        '{"progress": [1]}',
    ],
)
def test_what_is_no_progress_changes_nothing(tmp_path, own, line):
    add(own, f'{{"progress": {{"done": 10}}}}\n{line}\n')
    assert Looks("progress", True, tmp_path).look().progress == 10


def test_the_next_run_begins_anew(tmp_path, own):
    add(own, '{"progress": {"done": 10}}\n')
    looks = Looks("progress", True, tmp_path)
    looks.look()
    own.rename(own.with_name("old"))
    looks.memory["path"] = "another/stdout.log"
    assert not looks.look().there


def test_of_a_flood_only_the_end_is_read(tmp_path, own):
    add(own, '{"progress": {"done": 1}}\n')
    looks = Looks("progress", True, tmp_path)
    looks.look()
    with open(own, "ab") as file:
        file.truncate(1 << 30)
    add(own, '\n{"progress": {"done": 2}}\n')
    assert looks.look().progress == 2


def test_silence_is_told(tmp_path):
    reading = Looks("progress", True, tmp_path).look()
    assert (reading.there, reading.text) == (False, "stdout holds no progress yet")
