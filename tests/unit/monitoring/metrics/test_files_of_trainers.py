"""Files of metrics that are rotated, replaced, written anew, in one text, in other letters, in other places."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from executor.monitoring.metrics import number_spelling
from executor.monitoring.metrics.name_value_pairs import pairs
from executor.monitoring.model import Monitor
from executor.monitoring.monitor import MonitorState
from executor.system.file_tail import BLOCK_BYTES
from tests.unit.places import Looks

MADE = Path(__file__).resolve().parents[3] / "fixtures" / "metrics"
LATER_NS = 2**62
nan = math.nan


def rows_of(*rows):
    return "".join(json.dumps({"step": step, "loss": loss}) + "\n" for step, loss in rows)


def steps(reading):
    return [row["step"] for row in reading.rows]


def replaced(path, text):
    beside = path.with_name("beside.tmp")
    beside.write_text(text)
    beside.rename(path)


def seen(folder, name, **where):
    return [*Looks("metrics", name, folder, **where).look().rows]


# Rotated, cut, replaced


def test_lines_written_before_a_rotation_are_read_from_the_renamed_file(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(rows_of((1, 0.5)))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    path.write_text(rows_of((1, 0.5), (2, nan)) + '{"step": 3, "loss": 0.25}')
    path.rename(tmp_path / "m.jsonl.1")
    path.write_text(rows_of((4, 0.125)))
    reading = looks.look()
    assert steps(reading) == [2, 3, 4]
    assert math.isnan(reading.rows[0]["loss"])


def test_a_log_that_was_rotated_is_searched_to_its_end(tmp_path):
    path = tmp_path / "train.log"
    path.write_text("begin\n")
    looks = Looks("log", {"file": "train.log", "match": "error"}, tmp_path)
    looks.look()
    path.write_text("begin\nan error\n")
    path.rename(tmp_path / "train.log.1")
    path.write_text("all well\n")
    assert looks.look().values["matches"] == 1


def test_rotation_by_copy_reads_what_comes_after(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(rows_of(*((step, 0.5) for step in range(9))))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    os.truncate(path, 0)
    first = looks.look()
    path.write_text(rows_of((8, 0.5), (9, 0.5)))
    assert (steps(first), steps(looks.look())) == ([], [8, 9])


def test_a_link_that_is_switched_gives_all_rows_of_the_other_file(tmp_path):
    for run, rows in (("one", [(1, 0.5), (2, 0.5)]), ("two", [(1, 0.5), (2, 0.25), (3, 0.125)])):
        (tmp_path / run).mkdir()
        (tmp_path / run / "m.jsonl").write_text(rows_of(*rows))
    link = tmp_path / "latest.jsonl"
    link.symlink_to("one/m.jsonl")
    looks = Looks("metrics", "latest.jsonl", tmp_path)
    first = steps(looks.look())
    link.unlink()
    link.symlink_to("two/m.jsonl")
    assert (first, steps(looks.look())) == ([1, 2], [1, 2, 3])


@pytest.mark.parametrize("place", [Path.write_text, replaced])
@pytest.mark.parametrize(
    "text",
    [
        rows_of((4, 0.4), (3, 0.3), (2, 0.2), (1, 0.1)),  # the newest first
        rows_of((2, 0.2), (4, 0.4), (1, 0.1), (3, 0.3)),  # in another order
        rows_of((4, 0.4), (1, 0.1), (2, 0.2), (3, 0.3)),
        "step,loss,val_loss\n1,0.1,\n2,0.2,\n3,0.3,0.7\n4,0.4,\n",  # with a column more
    ],
)
def test_of_a_file_written_anew_only_new_content_counts(tmp_path, text, place):
    path = tmp_path / "metrics"
    header = "step,loss\n" if text.startswith("step") else ""
    path.write_text("step,loss\n1,0.1\n2,0.2\n3,0.3\n" if header else rows_of((3, 0.3), (2, 0.2), (1, 0.1)))
    looks = Looks("metrics", "metrics", tmp_path)
    looks.look()
    place(path, text)
    assert steps(looks.look()) == [4]


def test_what_an_earlier_run_left_is_no_news_when_it_is_written_anew(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(rows_of((1, 0.5), (2, nan)))
    looks = Looks("metrics", "m.jsonl", tmp_path, began_ns=LATER_NS)
    looks.look()
    looks.where["began_ns"] = 0
    path.write_text(rows_of((3, 0.125), (2, nan), (1, 0.5)))
    assert looks.look().rows == ({"step": 3, "loss": 0.125},)


def test_a_rewrite_of_the_same_size_is_seen(tmp_path):
    path = tmp_path / "m.json"
    looks = Looks("metrics", "m.json", tmp_path)
    tail = ', "note": "' + "x" * 100 + '"}'
    found = []
    for step in (1, 2, 3):
        path.write_text(f'{{"step": {step}, "loss": 0.{step}' + tail)
        os.utime(path, ns=(step, step))
        found += steps(looks.look())
    assert found == [1, 2, 3]


def test_a_look_while_nothing_but_the_time_of_a_file_changes_gives_no_rows(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(rows_of((1, 0.5)))
    looks = Looks("metrics", "m.jsonl", tmp_path)
    looks.look()
    os.utime(path, ns=(1, 1))
    assert looks.look().rows == ()


def test_lines_that_match_again_only_because_a_log_was_written_anew_are_no_news(tmp_path):
    path = tmp_path / "train.log"
    path.write_text("an error\nwell\n")
    looks = Looks("log", {"file": "train.log", "match": "error"}, tmp_path)
    looks.look()
    path.write_text("begun\nan error\nwell\nanother error\n")
    assert looks.look().values["matches"] == 2


@pytest.mark.parametrize(("kind", "name"), [("metrics", "m.jsonl"), ("metrics", "*.jsonl"), ("log", "m.jsonl")])
def test_a_file_that_comes_later_is_of_this_run_whatever_its_time_says(tmp_path, kind, name):
    looks = Looks(kind, name, tmp_path, began_ns=2)
    looks.look()
    (tmp_path / "m.jsonl").write_text(rows_of((1, 0.5)))
    os.utime(tmp_path / "m.jsonl", ns=(1, 1))
    assert looks.look().there


# One text


def test_one_object_that_is_overwritten_without_a_line_end_is_read_each_time(tmp_path):
    path = tmp_path / "m.json"
    looks = Looks("metrics", "m.json", tmp_path)
    found = []
    for step, loss in ((9, 0.5), (10, 0.25), (11, nan)):
        path.write_text(json.dumps({"step": step, "loss": loss}))
        found += looks.look().rows
    assert [row["step"] for row in found] == [9, 10, 11]
    assert math.isnan(found[-1]["loss"])


def test_a_half_written_object_waits_until_it_is_whole(tmp_path):
    path = tmp_path / "m.json"
    looks = Looks("metrics", "m.json", tmp_path)
    path.write_text('{"step": 1, "lo')
    first = looks.look().rows
    path.write_text('{"step": 1, "loss": 0.5}')
    assert (first, looks.look().rows) == ((), ({"step": 1, "loss": 0.5},))


@pytest.mark.parametrize(
    "whole",
    [
        lambda rows: json.dumps(rows, indent=2),
        json.dumps,
        lambda rows: json.dumps({"epoch": 1.0, "max_steps": 99, "log_history": rows}, indent=2),
        lambda rows: json.dumps({name: [row[name] for row in rows] for name in rows[0]}, indent=1),
        lambda rows: json.dumps(
            {"loss": {"steps": [row["step"] for row in rows], "values": [0.5] * len(rows)}}, indent=2
        ),
    ],
    ids=["pretty list", "list on a line", "trainer_state", "columns", "sacred"],
)
def test_a_text_of_all_rows_gives_those_that_are_new(tmp_path, whole):
    path = tmp_path / "m.json"
    looks, found = Looks("metrics", "m.json", tmp_path), []
    for end in (3, 4, 4, 6):
        path.write_text(whole([{"step": step, "loss": 0.5} for step in range(1, end)]) + "\n")
        found += steps(looks.look())
    assert found == [1, 2, 3, 4, 5]


def test_the_end_of_a_trainer_state_is_the_total(tmp_path):
    state = {"max_steps": 99, "log_history": [{"step": 3, "loss": 0.5}]}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state, indent=2))
    assert Looks("metrics", "trainer_state.json", tmp_path).look().total == 99


def test_what_an_earlier_run_left_in_one_text_counts_for_nothing(tmp_path):
    path = tmp_path / "m.json"
    path.write_text(json.dumps([{"step": 1, "loss": nan}], indent=2))
    looks = Looks("metrics", "m.json", tmp_path, began_ns=LATER_NS)
    looks.look()
    looks.where["began_ns"] = 0
    path.write_text(json.dumps([{"step": 1, "loss": nan}, {"step": 2, "loss": 0.5}], indent=2))
    assert looks.look().rows == ({"step": 2, "loss": 0.5},)


def test_of_a_long_text_the_rows_at_its_end_are_read(tmp_path):
    path = tmp_path / "trainer_state.json"
    rows = [{"step": step, "loss": 0.5, "note": "x" * 60} for step in range(30_000)]
    path.write_text(json.dumps({"log_history": rows}, indent=2))
    reading = Looks("metrics", "trainer_state.json", tmp_path).look()
    assert path.stat().st_size > BLOCK_BYTES
    assert reading.progress == 29_999


def test_a_text_that_becomes_lines_is_read_as_lines(tmp_path):
    path = tmp_path / "m.json"
    path.write_text(json.dumps([{"step": 1, "loss": 0.5}], indent=2))
    looks = Looks("metrics", "m.json", tmp_path)
    looks.look()
    path.write_text(rows_of((1, 0.5), (2, 0.25)))
    assert [row["step"] for _ in range(2) for row in looks.look().rows] == [2]


def test_a_text_that_stays_broken_is_told(tmp_path):
    path = tmp_path / "m.json"
    path.write_text('{\n  "step": 1,\n')
    assert "no whole text of JSON" in Looks("metrics", "m.json", tmp_path).look().text


# A null where a number was


@pytest.mark.parametrize("word", ["null", '""', '"NaN"', '"None"', "NaN", "[null]"])
def test_a_blank_where_a_loss_was_is_nan(tmp_path, word):
    (tmp_path / "m.jsonl").write_text(rows_of((1, 2.0), (2, 2.0)) + f'{{"step": 3, "loss": {word}}}\n' * 2)
    found = seen(tmp_path, "m.jsonl")
    assert [math.isnan(row["loss"]) for row in found] == [False, False, True, True]


def test_a_cell_left_blank_where_a_loss_was_is_nan(tmp_path):
    (tmp_path / "m.csv").write_text("step,loss,lr\n1,2,0.1\n2,2,0.1\n3,2,0.1\n4,,0.1\n")
    assert math.isnan(seen(tmp_path, "m.csv")[-1]["loss"])


@pytest.mark.parametrize(
    "text",
    [
        '{"step": 1, "loss": 2, "val_loss": null}\n' * 3 + '{"step": 1, "loss": null, "val_loss": 2}\n' * 3,
        '{"step": 1, "loss": 2}\n{"step": 2, "loss": null}\n' * 3,  # each tenth step has one
        '{"d_loss": 1, "g_loss": null}\n{"d_loss": null, "g_loss": 2}\n' * 3,
        '{"step": 1, "loss": 2, "gpu_mem": 5}\n' * 3 + '{"step": 2, "loss": 2, "gpu_mem": null}\n',
        '{"step": 1, "loss": 2}\n' * 3 + '{"step": null, "loss": null, "time": 5}\n',
    ],
)
def test_a_blank_that_only_says_that_nothing_was_measured_is_none(tmp_path, text):
    (tmp_path / "m.jsonl").write_text(text)
    assert all(math.isfinite(value) for row in seen(tmp_path, "m.jsonl") for value in row.values())


# Letters and escapes


LINES = "step 1 loss 0.5\nstep 2 loss 0.25 é ok\n"


@pytest.mark.parametrize(
    "data",
    [
        LINES.encode("latin-1"),
        LINES.encode("cp1252"),
        LINES.encode("utf-16"),
        LINES.encode("utf-16-le"),
        LINES.encode("utf-16-be"),
        LINES.encode("utf-8-sig"),
        b"\0\0\0" + LINES.encode(),
        LINES.replace("loss", "lo\0ss").encode(),
        LINES.replace("step", "\x1b[2K\x1b[?25l\x1b[1;32mstep\x1b[0m").encode(),
        LINES.replace("step", "\x1b]8;;http://x\x1b\\step").encode(),
        LINES.replace(" loss", "\tloss").replace("step", "\tstep").encode(),
        LINES.replace(" ", "\u00a0").encode(),
        LINES.replace("\n", "\r\n").encode(),
        LINES.replace("\n", "\x07\n").encode(),
    ],
)
def test_a_line_is_read_in_any_letters(tmp_path, data):
    (tmp_path / "train.log").write_bytes(data)
    assert seen(tmp_path, "train.log") == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]


def test_a_log_in_utf_16_is_searched(tmp_path):
    (tmp_path / "train.log").write_bytes("all well\nan error\n".encode("utf-16"))
    assert Looks("log", {"file": "train.log", "match": "error"}, tmp_path).look().values["matches"] == 1


def test_a_line_behind_a_long_bar_is_searched(tmp_path):
    bar = "".join(f"\r{at:3}%|{'#' * 50}| loss=1" for at in range(300))
    (tmp_path / "train.log").write_text(f"{bar}\rloss is nan\n")
    assert Looks("log", {"file": "train.log", "match": r"\bnan\b"}, tmp_path).look().values["matches"] == 1


def test_a_bar_without_a_line_end_is_read_as_it_is_drawn(tmp_path):
    path = tmp_path / "train.log"
    looks, found = Looks("metrics", "train.log", tmp_path), []
    with open(path, "a", encoding="utf-8") as file:
        for step, loss in ((1, "2.0"), (2, "1.5"), (3, "nan"), (4, "nan")):
            file.writelines([f"\r{step}/9 [===>....] - loss: {loss}"] * 3)
            file.flush()
            found += looks.look().rows
    assert [row["loss"] for row in found[:2]] == [2.0, 1.5]
    assert len(found) == 3
    assert math.isnan(found[2]["loss"])


# Places


@pytest.mark.parametrize("written", ["~/m.jsonl", "$HOME/m.jsonl", "${HOME}/m.jsonl", "~/*.jsonl"])
def test_the_home_folder_may_be_written_in_every_path(tmp_path, monkeypatch, written):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "m.jsonl").write_text(rows_of((1, 0.5)))
    root = tmp_path / "project"
    root.mkdir()
    for kind in ("metrics", "log", "checkpoints", "disk"):
        looks = Looks(kind, os.path.dirname(written) if kind == "disk" else written, root)
        looks.look()
        assert looks.look().there, kind


def test_a_name_with_a_tilde_that_exists_is_taken_as_written(tmp_path):
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "m.jsonl").write_text(rows_of((1, 0.5)))
    assert steps(Looks("metrics", "~/m.jsonl", tmp_path).look()) == [1]


def test_what_cannot_be_read_is_told(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone.jsonl").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "x.db")
    for name in ("m.csv.gz", "run.wandb", "m.parquet"):
        (tmp_path / name).write_bytes(b"\x1f\x8b\x08")
    (tmp_path / "other.db").write_bytes(b"")
    sqlite3.connect(tmp_path / "some.db").execute("create table t (x)").connection.close()
    told = {name: Looks("metrics", name, tmp_path).look().text for name in os.listdir(tmp_path)}
    assert "Too many levels" in told["loop"]
    assert "leads nowhere" in told["gone.jsonl"]
    assert "name a file in it" in told["folder"]
    assert "not a file" in told["x.db"]
    assert "is packed" in told["m.csv.gz"]
    assert "wandb-summary.json" in told["run.wandb"]
    assert "is no text" in told["m.parquet"]
    assert "without MLflow's table" in told["some.db"]


# What a command prints


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("", ""),
        ("one\n", "one"),
        ("first\nsecond\n\nlast\n", "first ... last"),
        ("total 24K\nstep_300\nstep_200\nstep_100\n", "step_300 ... step_100"),
        ("total 24K\n", "total 24K"),
    ],
)
def test_the_first_and_the_last_line_of_a_command_are_shown(output, text):
    watched = MonitorState(Monitor("saved", "command", "ls -lht"), {})
    watched.take_output(0, output, "", 1.0)
    assert watched.reading.text == text


@pytest.mark.parametrize("code", [141, -13])
def test_a_command_whose_reader_had_enough_is_no_trouble(code):
    watched = MonitorState(Monitor("saved", "command", "ls -lht | head -2"), {})
    watched.take_output(code, "step_300\nstep_200\n", "", 1.0)
    assert (watched.troubled, watched.reading.there) == ("", True)


# MLflow


def database(path):
    base = sqlite3.connect(path)
    base.execute(
        "create table metrics (key text, value real, timestamp bigint, run_uuid text, step bigint, is_nan boolean)"
    )
    return base


def log(base, *rows):
    for step, key, value in rows:
        odd = math.isnan(value)
        base.execute("insert into metrics values (?, ?, 0, 'a', ?, ?)", (key, 0.0 if odd else value, step, odd))
    base.commit()


def test_the_database_of_mlflow_is_read_on(tmp_path):
    base = database(tmp_path / "mlflow.db")
    log(base, (1, "loss", 2.5), (1, "val/acc", 0.5), (2, "loss", nan))
    looks = Looks("metrics", "mlflow.db", tmp_path)
    first = looks.look().rows
    log(base, (3, "loss", -1.7976931348623157e308))
    assert first[0] == {"step": 1, "loss": 2.5, "val/acc": 0.5}
    assert math.isnan(first[1]["loss"])
    assert looks.look().rows == ({"step": 3, "loss": -math.inf},)
    base.close()


def test_a_look_at_the_database_of_mlflow_never_keeps_its_writer_waiting(tmp_path):
    base = database(tmp_path / "mlflow.db")
    base.execute("pragma busy_timeout = 0")
    log(base, (1, "loss", 2.5))
    base.execute("begin exclusive")
    looks = Looks("metrics", "mlflow.db", tmp_path)
    looks.look()
    base.execute("insert into metrics values ('loss', 2.0, 0, 'a', 2, 0)")
    looks.look()
    base.commit()
    base.close()
    assert {row["step"] for row in looks.look().rows} <= {1, 2}


def test_the_folder_of_a_run_of_mlflow_is_read(tmp_path):
    run = tmp_path / "mlruns" / "0" / "abc"
    (run / "metrics" / "val").mkdir(parents=True)
    (run / "meta.yaml").touch()
    (run / "metrics" / "val" / "acc").write_text("1796125771591 0.5 1\n")
    shutil.copy(MADE / "mlflow_loss", run / "metrics" / "loss")
    reading = Looks("metrics", "mlruns/0/abc", tmp_path).look()
    assert (reading.progress, reading.values["val/acc"]) == (3, 0.5)
    assert math.isnan(reading.values["loss"])


# Spellings


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "NaN",
        "-nan",
        "nan(ind)",
        "-nan(ind)",
        "1.#QNAN",
        "1.#IND",
        "-1.#IND00",
        "NaN32",
        "(nan)",
        "[nan]",
        "(+nanz)",
        "nan.0",
        "'nan'",
        '"NaN"',
        "snan",
        "np.float64(nan)",
        "tensor([nan])",
        "array(nan)",
        "tensor(nan)",
        "jnp.float32(nan)",
        "Decimal('NaN')",
        "tensor([[nan]])",
        "float('nan')",
    ],
)
def test_nan_is_read_in_every_spelling(text):
    assert math.isnan(number_spelling.number(text))
    assert math.isnan(pairs(f"step 5 loss={text}, lr=1e-4")["loss"])


@pytest.mark.parametrize(
    "text", ["tensor(nan, device='cuda:0')", "Array(nan, dtype=float32)", "tensor(nan, grad_fn=<A>)"]
)
def test_nan_is_read_in_an_array_that_tells_its_type(text):
    assert math.isnan(number_spelling.number(text))
    assert math.isnan(pairs(f"{{'loss': {text}, 'lr': 1e-4}}")["loss"])


@pytest.mark.parametrize("text", ["inf", "Infinity", "+Inf", "1.#INF", "1.#INF00", "∞", "np.float32(inf)", "Inf32"])
def test_infinity_is_read_in_every_spelling(text):
    assert number_spelling.number(text) == math.inf
    assert pairs(f"loss: {text}") == {"loss": math.inf}


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("step 1,000/5,000 | loss 2.5", {"step": 1000, "loss": 2.5}),
        ("step 1_000 loss 2.5", {"step": 1000, "loss": 2.5}),
        ("step 1'000 loss 2.5", {"step": 1000, "loss": 2.5}),
        ("step: 1.5M | tokens: 12k | loss: 2.5", {"step": 1.5e6, "tokens": 12_000, "loss": 2.5}),
        ("loss 2,31 acc 0,5", {"loss": 2.31, "acc": 0.5}),
        ("step 1,000 loss 2,345", {"step": 1000}),  # 2.345 or 2345
        ("acc: 95% loss: 2", {"acc": 95, "loss": 2}),
        ("time 12:30:11 date 2026-12-01 eta 0:12:34 at 10.0.0.1:80 torch 2.1.0", {}),
        ("lr=[1e-05, 1e-05] loss=[2.5]", {"loss": 2.5}),
        ("Best model found at step 1200", {}),
        ("Saving checkpoint for step 300 to ckpt/step_300/model.pt", {}),
        ("Total optimization steps = 1,500", {}),
        ("time per iteration: 0.5 s, samples per step 8", {}),
        ("best loss 1.2 at step 300", {"best_loss": 1.2}),
        ("Training step 10: loss -> 2.5", {"step": 10, "loss": 2.5}),
        ("bsz: 1234/ 567/16", {}),
    ],
)
def test_a_number_is_read_right_or_not_at_all(line, row):
    assert pairs(line) == row


def test_a_part_of_an_epoch_is_no_step(tmp_path):
    path = tmp_path / "m.jsonl"
    looks = Looks("metrics", "m.jsonl", tmp_path)
    path.write_text('{"epoch": 1, "loss": 3}\n')
    first = looks.look()
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"epoch": 1.5, "loss": 2}\n')
    second = looks.look()
    assert (first.progress, second.progress, second.values) == (1, 2, {"epoch": 1.5, "loss": 2})


LONG = [
    "a",
    "a ",
    "a=1 ",
    "(",
    "train ",
    "1,000",
    "np.",
    "[[",
    " ",
    "1",
    "1'",
    "1e-5,",
    "\x1b[",
    '"',
    "{",
    '{"a":',
    "step ",
]


@pytest.mark.parametrize("part", [*LONG, "x@y/z-", "| ", "nan ", "loss (", "\x1b]", "é", "'", "1_000", "float("])
def test_no_line_takes_long(tmp_path, part):
    """Read lines that an expression may stumble over: a look at them ends."""
    (tmp_path / "train.log").write_text(f"lr=[{part * (60_000 // len(part))}\n" * 3)
    assert Looks("metrics", "train.log", tmp_path).look().at_s
