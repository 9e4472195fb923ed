from __future__ import annotations

import math
import os
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.monitoring.metrics.tensorboard import LONGEST, masked_crc
from tests.unit.places import Looks, bytes_read

LATER_NS = 2**62
NAME = "events.out.tfevents.1.here"


def varint(value):
    out = b""
    value &= (1 << 64) - 1
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def number_field(number, value):
    return varint(number << 3) + varint(value)


def scalar(tag, value):
    return field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)


def tensor(tag, body):
    return field(1, tag.encode()) + field(8, body)


def event(step, *values):
    summary = b"".join(field(1, value) for value in values)
    return b"\x09" + struct.pack("<d", 1.7e9) + number_field(2, step) + field(5, summary)


def record(body):
    head = struct.pack("<Q", len(body))
    return head + struct.pack("<I", masked_crc(head)) + body + struct.pack("<I", masked_crc(body))


def losses(*steps):
    return b"".join(record(event(step, scalar("loss", step / 4))) for step in steps)


def write(folder, data, name=NAME):
    folder.mkdir(exist_ok=True)
    with open(folder / name, "ab") as file:
        file.write(data)
    return folder / name


def steps_of(reading):
    return [row["step"] for row in reading.rows]


def test_the_checksum_is_the_one_of_the_format():
    # CRC-32C of 123456789 is E3069283, as its catalogue says
    crc = 0xE3069283
    assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_scalars_of_a_real_writer_are_read(tmp_path):
    tensorboardx = pytest.importorskip("tensorboardX")
    with tensorboardx.SummaryWriter(str(tmp_path / "runs")) as writer:
        for step in range(5):
            writer.add_scalar("train/loss", 1 / (step + 1), step)
        writer.add_scalar("lr", 0.125, 4)
        writer.add_text("note", "loss 3", 4)
        writer.add_scalar("val/loss", float("nan"), 300_000)
    reading = Looks("metrics", "runs", tmp_path).look()
    assert len(reading.rows) == 7
    assert reading.progress == 300_000
    assert reading.values["train/loss"] == pytest.approx(0.2)
    assert math.isnan(reading.values["val/loss"])


def test_histograms_of_a_real_writer_are_passed_over(tmp_path):
    tensorboardx = pytest.importorskip("tensorboardX")
    numpy = pytest.importorskip("numpy")
    with tensorboardx.SummaryWriter(str(tmp_path / "runs")) as writer:
        writer.add_histogram("weights", numpy.arange(1000.0), 1)
        writer.add_scalar("loss", 0.5, 2)
    assert Looks("metrics", "runs", tmp_path).look().rows == ({"step": 2, "loss": 0.5},)


def test_each_flush_of_a_real_writer_gives_its_own_rows(tmp_path):
    tensorboardx = pytest.importorskip("tensorboardX")
    looks, found = Looks("metrics", "runs", tmp_path), []
    with tensorboardx.SummaryWriter(str(tmp_path / "runs")) as writer:
        for step in range(4):
            writer.add_scalar("loss", 0.5, step)
            writer.flush()
            found += [row["step"] for row in looks.look().rows]
    found += [row["step"] for row in looks.look().rows]
    assert found == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "body",
    [
        number_field(1, 1) + field(4, struct.pack("<f", 2.5)),
        number_field(1, 2) + field(4, struct.pack("<d", 2.5)),
        number_field(1, 1) + field(2, b"") + field(5, struct.pack("<f", 2.5)),
        number_field(1, 1) + field(5, struct.pack("<f", 2.5)) + field(2, field(2, number_field(1, 1))),
        number_field(1, 1) + b"\x2d" + struct.pack("<f", 2.5),
        number_field(1, 2) + field(6, struct.pack("<d", 2.5)),
        number_field(1, 14) + field(4, struct.pack("<f", 2.5)[2:]),
        number_field(1, 14) + field(13, varint(int.from_bytes(struct.pack("<f", 2.5)[2:], "little"))),
        number_field(1, 19) + field(4, struct.pack("<e", 2.5)),
        number_field(1, 19) + number_field(13, int.from_bytes(struct.pack("<e", 2.5), "little")),
    ],
)
def test_a_scalar_may_be_a_tensor_of_one_number(tmp_path, body):
    write(tmp_path / "runs", record(event(7, tensor("loss", body))))
    assert Looks("metrics", "runs", tmp_path).look().rows == ({"step": 7, "loss": 2.5},)


@pytest.mark.parametrize(
    ("body", "value"),
    [(number_field(1, 9) + field(10, varint(-3)), -3), (number_field(1, 3) + number_field(7, 12), 12)],
)
def test_a_scalar_may_be_a_whole_number(tmp_path, body, value):
    write(tmp_path / "runs", record(event(7, tensor("count", body))))
    assert Looks("metrics", "runs", tmp_path).look().rows == ({"step": 7, "count": value},)


@pytest.mark.parametrize(
    "body",
    [
        number_field(1, 1) + field(4, struct.pack("<2f", 1, 2)),
        number_field(1, 1) + field(2, field(2, number_field(1, 3))) + field(5, struct.pack("<f", 2.5)),
        number_field(1, 7) + field(8, b"text"),
        number_field(1, 1),
    ],
)
def test_a_tensor_of_more_or_less_is_no_scalar(tmp_path, body):
    write(tmp_path / "runs", record(event(7, tensor("loss", body))) + losses(8))
    assert steps_of(Looks("metrics", "runs", tmp_path).look()) == [8]


def test_a_torn_record_waits_until_it_is_whole(tmp_path):
    data = losses(1, 2)
    write(tmp_path / "runs", data[:-5])
    looks = Looks("metrics", "runs", tmp_path)
    first = steps_of(looks.look())
    write(tmp_path / "runs", data[-5:])
    assert (first, steps_of(looks.look())) == ([1], [2])


def test_a_record_with_wrong_bytes_is_passed_over(tmp_path):
    data = bytearray(losses(1, 2, 3))
    data[len(data) // 2] ^= 1
    write(tmp_path / "runs", bytes(data))
    looks = Looks("metrics", "runs", tmp_path)
    assert steps_of(looks.look()) == [1, 3]


def test_behind_a_wrong_length_the_next_record_is_found(tmp_path):
    size = len(losses(2))
    data = bytearray(losses(1, 2, 3, 4))
    data[len(losses(1))] ^= 1
    write(tmp_path / "runs", bytes(data))
    assert size > 0
    assert steps_of(Looks("metrics", "runs", tmp_path).look()) == [1, 3, 4]


def test_damage_is_told_while_there_is_nothing_else(tmp_path):
    write(tmp_path / "runs", b"x" * 200)
    assert "is damaged in 1 place" in Looks("metrics", "runs", tmp_path).look().text


def test_a_later_file_is_followed(tmp_path):
    write(tmp_path / "runs", losses(1, 2))
    looks = Looks("metrics", "runs", tmp_path)
    looks.look()
    write(tmp_path / "runs", losses(3), "events.out.tfevents.2.here")
    assert (looks.look().progress, looks.look().rows) == (3, ())


def test_event_files_of_train_and_validation_stay_apart(tmp_path):
    (tmp_path / "logs").mkdir()
    write(tmp_path / "logs" / "train", record(event(1, scalar("loss", 0.5))))
    write(tmp_path / "logs" / "validation", record(event(1, scalar("loss", 0.75))))
    assert Looks("metrics", "logs", tmp_path).look().values == {"step": 1, "train/loss": 0.5, "validation/loss": 0.75}


def test_events_of_an_earlier_run_count_for_nothing(tmp_path):
    write(tmp_path / "runs", losses(900))
    looks = Looks("metrics", "runs", tmp_path, began_ns=LATER_NS)
    before = looks.look()
    write(tmp_path / "runs", losses(3))
    assert (before.there, steps_of(looks.look())) == (False, [3])


def test_of_a_long_file_only_the_end_is_read(tmp_path):
    long = record(field(1, b"x" * LONGEST))
    path = write(tmp_path / "runs", losses(1) + long * 40 + losses(2, 3))
    before = bytes_read()
    found = steps_of(Looks("metrics", "runs", tmp_path).look())
    assert os.path.getsize(path) > 2 << 20
    assert found == [2, 3]
    assert bytes_read() - before < 1.1 * (1 << 20)


def test_a_record_longer_than_a_look_is_passed_without_reading_it(tmp_path):
    write(tmp_path / "runs", losses(1))
    looks = Looks("metrics", "runs", tmp_path)
    looks.look()
    length = 50 << 20
    head = struct.pack("<Q", length)
    path = write(tmp_path / "runs", head + struct.pack("<I", masked_crc(head)))
    looks.look()
    os.truncate(path, os.path.getsize(path) + length + 4)
    write(tmp_path / "runs", losses(2))
    before = bytes_read()
    found = [*steps_of(looks.look()), *steps_of(looks.look())]
    assert found == [2]
    assert bytes_read() - before < 2 << 20


@given(
    cuts=st.sets(st.integers(0, 700), max_size=8),
    damage=st.none() | st.integers(0, 600),
)
def test_any_split_into_looks_sees_the_rows_of_one_look(tmp_path_factory, cuts, damage):
    folder = tmp_path_factory.mktemp("split")
    data = bytearray(losses(*range(10)))
    if damage is not None:
        data[damage % len(data)] ^= 0x40
    write(folder / "whole", bytes(data))
    looks, found, at = Looks("metrics", "parts", folder), [], 0
    for cut in [*sorted(cuts), len(data)]:
        write(folder / "parts", bytes(data[at:cut]))
        at = max(at, min(cut, len(data)))
        found += steps_of(looks.look())
    assert found == steps_of(Looks("metrics", "whole", folder).look())
    assert len(found) >= (10 if damage is None else 8)


@given(st.binary(max_size=200))
def test_no_message_breaks_a_look(tmp_path_factory, body):
    folder = tmp_path_factory.mktemp("any")
    write(folder / "runs", record(body) + record(field(5, field(1, body))) + losses(3))
    assert steps_of(Looks("metrics", "runs", folder).look())[-1] == 3


def test_the_reader_is_loaded_only_for_event_files():
    import subprocess

    loaded = "'executor.monitoring.metrics.tensorboard' in sys.modules, 'ctypes' in sys.modules"
    script = f"import sys, executor.monitoring.probes; print({loaded})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert run.stdout.split() == ["False", "False"]
