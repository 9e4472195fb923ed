from __future__ import annotations

import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.monitoring.metrics import number_spelling
from executor.system.file_tail import BLOCK_BYTES
from tests.unit.places import Looks, bytes_read

LATER_NS = 2**62


def add(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def add_bytes(path, data):
    with open(path, "ab") as file:
        file.write(data)


def json_lines(*steps):
    return "".join(f'{{"step": {step}, "loss": {step / 10}}}\n' for step in steps)


def seen(path, asks=None, **where):
    """All rows that one look sees."""
    return [*Looks("metrics", asks or path.name, path.parent, **where).look().rows]


# Forms


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.jsonl", '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n'),
        ("m.log", '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n'),
        ("m.jsonl", '{"train/global_step": 1, "loss": 0.5}\r\n{"train/global_step": 2, "loss": 0.25}\r\n'),
        ("m.csv", "step,loss\n1,0.5\n2,0.25\n"),
        ("m.csv", "step;loss\n1;0,5\n2;0,25\n"),
        ("m.csv", '"step","loss","note"\n1,0.5,"well, well"\n2,0.25,""\n'),
        ("m.csv", "\ufeffstep,loss\n1,0.5\n2,0.25\n"),
        ("m.csv", ",loss,iteration\n,0.5,1\n,0.25,2\n"),
        ("m.tsv", "step\tloss\n1\t0.5\n2\t0.25\n"),
        ("m.dat", "step,loss\n1,0.5\n2,0.25\n"),
        ("loss.txt", "1 0.5\n2 0.25\n"),
        ("loss.txt", "# step loss\n1 0.5\n2 0.25\n"),
        ("loss.txt", "step   loss\n   1   0.5\n   2   0.25\n"),
        ("loss.txt", "loss step\n0.5 1\n0.25 2\n"),
        ("loss.txt", "step=1 loss=0.5\nstep=2 loss=0.25\n"),
        ("loss.txt", "step: 1, loss: 0.5\nstep: 2, loss: 0.25\n"),
        ("loss.txt", "iter 1: loss 0.5, time 12.5ms\niter 2: loss 0.25, time 11.5ms\n"),
        ("loss.txt", "2026-11-22 10:00:00 INFO step 1/90 loss 0.5.\n2026-11-22 10:00:01 INFO step 2/90 loss 0.25.\n"),
        ("loss.txt", "{'step': 1, 'loss': 0.5}\n{'step': 2, 'loss': 0.25}\n"),
        ("loss.txt", "\x1b[32mstep\x1b[0m 1 loss 0.5\nstep 2 loss 0.25\n"),
        ("loss.txt", "  1%|\rstep 1 loss 0.5\n  2%|\rstep 2 loss 0.25\n"),
    ],
)
def test_the_same_numbers_are_read_from_every_form(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert seen(path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]


def test_a_bare_number_a_line_is_the_loss(tmp_path):
    path = tmp_path / "loss.txt"
    path.write_text("0.5\n0.25\n")
    reading = Looks("metrics", "loss.txt", tmp_path).look()
    assert (reading.rows, reading.progress) == (({"loss": 0.5}, {"loss": 0.25}), 2)


def test_nested_numbers_are_told_by_their_path(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(
        '{"step": 3, "train": {"loss": 1, "lr": {"adam": 0.1}}, "done": true, "name": "x", "all": [1, 2], "one": [4]}\n'
    )
    assert seen(path) == [{"step": 3, "train/loss": 1, "train/lr/adam": 0.1, "one": 4}]


def test_train_and_val_losses_of_one_line_stay_apart(tmp_path):
    path = tmp_path / "loss.txt"
    path.write_text("step 10: train loss 2.5, val loss 2.75\n")
    assert seen(path) == [{"step": 10, "train_loss": 2.5, "val_loss": 2.75}]


@pytest.mark.parametrize(
    ("name", "line", "sign"),
    [
        ("m.jsonl", '{"loss": NaN}', 0),
        ("m.jsonl", '{"loss": nan}', 0),
        ("m.jsonl", '{"loss": "nan"}', 0),
        ("m.jsonl", '{"loss": "-NaN"}', 0),
        ("m.jsonl", '{"loss": Infinity}', 1),
        ("m.jsonl", '{"loss": -Infinity}', -1),
        ("m.jsonl", '{"loss": -inf}', -1),
        ("m.jsonl", '{"loss": "inf"}', 1),
        ("m.jsonl", '{"loss": 1e999}', 1),
        ("m.jsonl", '{"loss": 1' + "0" * 400 + "}", 1),
        ("m.csv", "loss,lr\nNaN,1", 0),
        ("m.csv", "loss,lr\n-nan(ind),1", 0),
        ("m.csv", "loss,lr\n1.#INF,1", 1),
        ("loss.txt", "nan", 0),
        ("loss.txt", "12 -nan", 0),
        ("loss.txt", "step=12 loss=NaN", 0),
        ("loss.txt", "step 12 loss inf", 1),
    ],
)
def test_what_is_not_finite_is_a_number_in_every_spelling(tmp_path, name, line, sign):
    path = tmp_path / name
    path.write_text(line + "\n")
    loss = seen(path)[-1]["loss"]
    assert math.isnan(loss) if not sign else loss == sign * math.inf


@pytest.mark.parametrize("line", ["no nan found", "financing 12nan", "nan", "is nan or inf", "losses: none"])
def test_prose_with_nan_in_it_is_no_number(tmp_path, line):
    path = tmp_path / "train.txt"
    path.write_text(f"step 1 loss 0.5\n{line} here\n")
    assert seen(path) == [{"step": 1, "loss": 0.5}]


def test_a_nan_reaches_the_newest_values(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"step": 1, "loss": 1}\n{"step": 2, "loss": NaN}\n')
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    assert math.isnan(looks.look().values["loss"])


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '{"loss": [1, 2]}', '{"a": ' * 5000, "\0\0\0", "\x07bell 3", '{"loss": "a1"}', "{}", "null"]
)
def test_a_line_without_numbers_is_passed_over(tmp_path, line):
    path = tmp_path / "m.jsonl"
    path.write_text(f'{line}\n{{"step": 1}}\n')
    assert seen(path) == [{"step": 1}]


def test_the_step_column_may_be_named(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("step,tokens,loss\n1,500,0.5\n")
    assert seen(path, {"file": "m.csv", "step": "tokens"})[0]["step"] == 500


def test_an_epoch_is_the_step_only_while_nothing_better_is_known(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"epoch": 1, "loss": 3}\n')
    looks = Looks("metrics", "m.jsonl", tmp_path)
    first = looks.look().progress
    add(tmp_path / "m.jsonl", '{"global_step": 40, "epoch": 2}\n{"epoch": 2, "val_loss": 3}\n')
    assert (first, looks.look().progress) == (1, 40)


def test_columns_asked_for_name_those_without_header(tmp_path):
    path = tmp_path / "loss.txt"
    path.write_text("7 0.5 0.125\n")
    assert seen(path, {"file": "loss.txt", "columns": ["step", "loss", "lr"]}) == [
        {"step": 7, "loss": 0.5, "lr": 0.125}
    ]


def test_columns_asked_for_are_the_only_ones_of_a_file_that_names_them(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 7, "loss": 0.5, "lr": 0.1, "time": 3}\n')
    assert seen(path, {"file": "m.jsonl", "columns": ["loss"]}) == [{"step": 7, "loss": 0.5}]


def test_a_person_reads_step_and_losses_first(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"lr": 0.0001, "loss": 1.23456, "step": 412}\n')
    assert Looks("metrics", "m.jsonl", tmp_path).look().text == "step 412 loss 1.235 lr 0.0001"


def test_a_line_for_a_person_is_short_and_printable(tmp_path):
    names = {f"loss\n\x1b[2J{'x' * 50}{at}": 1.5 for at in range(50)}
    (tmp_path / "m.jsonl").write_text(json.dumps(names) + "\n")
    text = Looks("metrics", "m.jsonl", tmp_path).look().text
    assert text
    assert text.isprintable()
    assert len(text) <= 160


def test_the_end_is_what_the_plan_says(tmp_path):
    (tmp_path / "m.jsonl").write_text(json_lines(4))
    reading = Looks("metrics", {"file": "m.jsonl", "total": 5000}, tmp_path).look()
    assert (reading.progress, reading.total) == (4, 5000)


# From look to look


def test_each_row_is_seen_once(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json_lines(1))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    first = looks.look().rows
    add(path, json_lines(2, 3))
    assert ([row["step"] for row in first], [row["step"] for row in looks.look().rows]) == ([1], [2, 3])


def test_a_look_without_news_still_tells_the_newest_numbers(tmp_path):
    (tmp_path / "m.jsonl").write_text(json_lines(1, 2))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    reading = looks.look()
    assert (reading.rows, reading.progress, reading.values) == ((), 2, {"step": 2, "loss": 0.2})


def test_a_look_tells_how_many_bytes_came_whether_or_not_they_are_rows(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json_lines(1))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    told = [looks.look().bytes, looks.look().bytes]
    for more in ("\r 10%|#", "\r 20%|##", ""):
        add(path, more)
        reading = looks.look()
        told.append(reading.bytes)
        assert reading.rows == ()
    path.write_text(json_lines(0))
    assert [*told, looks.look().bytes] == [len(json_lines(1)), 0, 7, 8, 0, len(json_lines(0))]


def test_a_torn_line_waits_until_it_is_whole(tmp_path):
    path = tmp_path / "loss.txt"
    path.write_text("1 0.5\n2 0.2")
    looks = Looks("metrics", "loss.txt", tmp_path)
    first = looks.look().rows
    add(path, "5\n")
    assert (first, looks.look().rows) == (({"step": 1, "loss": 0.5},), ({"step": 2, "loss": 0.25},))


@given(
    text=st.sampled_from(
        [
            json_lines(*range(12)),
            "step,loss\n" + "".join(f"{step},{step / 8}\n" for step in range(12)),
            "".join(f"{step} {step / 8}\n" for step in range(12)),
            "# made by hand\nstep loss\n1 2\n\n3 4\nstep lr\n5 6\nstep=7 loss=nan\n8 9\n",
            '{"epoch": 1}\n{"step": 3, "epoch": 2}\n{"epoch": 3}\nrubbish\n{"step": 9}\n',
            "é 1\nstep 2 λ 3\r\nstep 4\rstep 5 loss 6\n",
        ]
    ),
    cuts=st.sets(st.integers(0, 200), max_size=12),
)
def test_any_split_into_looks_sees_the_rows_of_one_look(tmp_path_factory, text, cuts):
    folder = tmp_path_factory.mktemp("split")
    data = text.encode()
    (folder / "whole.txt").write_bytes(data)
    looks = Looks("metrics", "parts.txt", folder)
    found = []
    at = 0
    for cut in [*sorted(cuts), len(data)]:
        add_bytes(folder / "parts.txt", data[at:cut])
        at = max(at, min(cut, len(data)))
        found += looks.look().rows
    assert repr(found) == repr(seen(folder / "whole.txt"))


def test_a_file_cut_to_nothing_is_read_from_its_start(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json_lines(1, 2, 3, 4))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    path.write_text(json_lines(0, 1))
    assert [row["step"] for row in looks.look().rows] == [0, 1]


def test_a_file_cut_and_grown_beyond_its_old_length_is_read_from_its_start(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json_lines(71, 72))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    path.write_text(json_lines(1, 2, 3, 4))
    assert [row["step"] for row in looks.look().rows] == [1, 2, 3, 4]


def test_a_rotated_file_is_read_from_its_start(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json_lines(1, 2))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    path.rename(tmp_path / "m.jsonl.1")
    path.write_text(json_lines(3, 4, 5))
    assert [row["step"] for row in looks.look().rows] == [3, 4, 5]


def test_a_file_that_is_written_anew_as_a_whole_gives_its_new_rows_only(tmp_path):
    path = tmp_path / "m.csv"
    looks = Looks("metrics", "m.csv", tmp_path)
    found = []
    for end in (2, 4, 5):
        beside = tmp_path / "beside"
        beside.write_text("step,loss\n" + "".join(f"{step},0.5\n" for step in range(end)))
        beside.rename(path)
        found += [row["step"] for row in looks.look().rows]
    assert found == [0, 1, 2, 3, 4]


def test_a_file_that_gains_a_column_gives_its_new_rows_only(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("step,loss\n1,0.5\n2,0.25\n")
    looks = Looks("metrics", "m.csv", tmp_path)
    looks.look()
    path.write_text("step,loss,val_loss\n1,0.5,\n2,0.25,\n3,,0.75\n")
    assert looks.look().rows == ({"step": 3, "val_loss": 0.75},)


def test_rows_without_steps_written_anew_are_not_counted_twice(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("loss,lr\n0.5,1\n")
    looks = Looks("metrics", "m.csv", tmp_path)
    looks.look()
    path.write_text("loss,lr,note\n0.5,1,2\n0.25,1,2\n")
    assert looks.look().progress == 2


# Whose file it is


def test_rows_of_an_earlier_run_count_for_nothing(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 900, "loss": NaN}\n')
    reading = Looks("metrics", "m.jsonl", tmp_path, began_ns=LATER_NS).look()
    assert (reading.there, reading.rows, reading.progress, reading.values) == (False, (), None, {})


def test_what_this_run_adds_to_an_earlier_file_counts(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("step,loss\n900,nan\n")
    looks = Looks("metrics", "m.csv", tmp_path, began_ns=LATER_NS)
    looks.look()
    add(path, "901,0.5\n")
    reading = looks.look()
    assert (reading.there, reading.rows) == (True, ({"step": 901, "loss": 0.5},))


def test_the_file_that_was_written_last_is_the_one_of_a_glob(tmp_path):
    (tmp_path / "a.jsonl").write_text(json_lines(1))
    os.utime(tmp_path / "a.jsonl", ns=(1, 1))
    looks = Looks("metrics", "*.jsonl", tmp_path, began_ns=2)
    nothing = looks.look().rows
    (tmp_path / "b.jsonl").write_text(json_lines(5))
    assert (nothing, looks.look().progress) == ((), 5)


def test_two_files_of_a_glob_are_both_read_on(tmp_path):
    for name in ("train.jsonl", "val.jsonl"):
        (tmp_path / name).write_text(json_lines(1))
    looks = Looks("metrics", "*.jsonl", tmp_path)
    looks.look()
    add(tmp_path / "train.jsonl", json_lines(2))
    add(tmp_path / "val.jsonl", json_lines(2))
    assert len(looks.look().rows) == 2


# Bounds


def test_a_gigabyte_of_metrics_costs_only_what_is_new(tmp_path):
    path = tmp_path / "m.jsonl"
    path.touch()
    os.truncate(path, 1 << 30)
    looks = Looks("metrics", "m.jsonl", tmp_path, began_ns=LATER_NS)
    looks.look()
    add(path, "\n" + json_lines(1))
    looks.look()
    add(path, json_lines(2))
    before = bytes_read()
    rows = looks.look().rows
    assert [row["step"] for row in rows] == [2]
    assert bytes_read() - before < 1024


def test_the_first_look_at_a_gigabyte_reads_its_end(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("step,loss\n")
    os.truncate(path, 1 << 30)
    add(path, "\n7,0.5\n")
    before = bytes_read()
    rows = seen(path)
    assert rows == [{"step": 7, "loss": 0.5}]
    assert bytes_read() - before < 2 * BLOCK_BYTES


def test_a_look_without_news_reads_nothing(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json_lines(*range(1000)))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    bytes_read()
    before = bytes_read()
    looks.look()
    assert bytes_read() - before < 1024


def test_more_than_a_look_reads_is_read_at_the_next(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text("")
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    count = 3 * BLOCK_BYTES // 40
    path.write_text("".join(f'{{"step": {10**8 + step}, "loss": 0.1234567}}\n' for step in range(count)))
    first = looks.look().progress
    for _ in range(3):
        last = looks.look().progress
    assert first < 10**8 + count - 1
    assert last == 10**8 + count - 1


def test_a_look_gives_no_more_than_the_newest_rows(tmp_path):
    path = tmp_path / "loss.txt"
    path.write_text("1\n" * 20_000 + "2\n")
    reading = Looks("metrics", "loss.txt", tmp_path).look()
    assert (len(reading.rows), reading.rows[-1], reading.progress) == (5000, {"loss": 2}, 20_001)


def test_a_line_without_end_is_passed_over(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json_lines(1))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    with open(path, "ab") as file:
        file.truncate(100 * 1024 * 1024)
    add(path, "\n" + json_lines(2))
    found = [row for _ in range(102) for row in looks.look().rows]
    assert [row["step"] for row in found] == [2]


def test_more_columns_than_anybody_reads_are_not_kept(tmp_path):
    (tmp_path / "m.jsonl").write_text(json.dumps({f"c{at}": at for at in range(5000)}) + "\n")
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    assert len(looks.memory["values"]) <= 256


# What is no metrics file


def test_a_fifo_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "m.jsonl")
    reading = Looks("metrics", "m.jsonl", tmp_path).look()
    assert (reading.there, reading.text) == (False, "m.jsonl: it is a pipe, not a file")


def test_a_folder_without_event_files_holds_no_numbers_yet(tmp_path):
    (tmp_path / "m.jsonl").mkdir()
    reading = Looks("metrics", "m.jsonl", tmp_path).look()
    assert not reading.there
    assert "m.jsonl" in reading.text


def test_a_missing_file_is_not_there_yet(tmp_path):
    reading = Looks("metrics", "logs/m.jsonl", tmp_path).look()
    assert (reading.there, reading.text) == (False, "logs/m.jsonl is not there yet")


@pytest.mark.parametrize("name", ["m.jsonl", "m.csv", "m.txt"])
def test_bytes_that_are_no_text_hold_no_numbers(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x1f\x8b\x08\0" + bytes(range(256)) * 40 + b"\n")
    assert not Looks("metrics", name, tmp_path).look().there


def test_a_packed_file_is_told(tmp_path):
    (tmp_path / "m.jsonl.gz").write_bytes(b"\x1f\x8b\x08\0")
    assert "is packed" in Looks("metrics", "m.jsonl.gz", tmp_path).look().text


def test_a_file_that_vanishes_leaves_its_last_numbers(tmp_path):
    (tmp_path / "m.jsonl").write_text(json_lines(1, 2))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    (tmp_path / "m.jsonl").unlink()
    reading = looks.look()
    assert (reading.rows, reading.progress) == ((), 2)


@given(st.binary(max_size=300))
def test_no_bytes_break_a_look(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    for name in ("m.jsonl", "m.csv", "m.txt"):
        (folder / name).write_bytes(data + b"\n" + data + b"\n1 2\n")
        Looks("metrics", name, folder).look()


@given(st.text(max_size=60))
def test_every_text_is_a_number_or_none(text):
    assert number_spelling.number(text) is None or isinstance(number_spelling.number(text), float)
