from __future__ import annotations

import json
import os
import struct

import pytest

from executor.monitoring.probes.checkpoints import find_newest
from tests.unit.places import Looks

GLOB = "checkpoints/step_*"


@pytest.fixture
def saved(tmp_path):
    (tmp_path / "checkpoints").mkdir()

    def save(name, *, size=100, at_ns=None):
        path = tmp_path / "checkpoints" / name
        path.write_bytes(b"x" * size)
        if at_ns is not None:
            os.utime(path, ns=(at_ns, at_ns))
        return path

    return save


def test_a_checkpoint_is_counted_at_the_second_look(tmp_path, saved):
    saved("step_1.pt")
    looks = Looks("checkpoints", GLOB, tmp_path)
    first, second = looks.look(), looks.look()
    assert (first.there, first.progress, second.there, second.progress) == (False, 0, True, 1)
    assert (second.newest, second.values["count"], second.values["bytes"]) == ("checkpoints/step_1.pt", 1, 100)


def test_a_checkpoint_that_still_grows_is_not_counted(tmp_path, saved):
    looks = Looks("checkpoints", GLOB, tmp_path)
    for size in (100, 200, 300):
        saved("step_1.pt", size=size)
        assert looks.look().progress == 0
    assert looks.look().progress == 1


@pytest.mark.parametrize(
    "name", ["step_1.pt.tmp", "step_1.tmp.4711", "step_1.part", "step_1.pt.incomplete", "step_1.pt~", "step_tmp_1"]
)
def test_a_temporary_file_is_no_checkpoint(tmp_path, saved, name):
    saved(name)
    looks = Looks("checkpoints", GLOB, tmp_path)
    looks.look()
    assert looks.look().progress == 0


def test_an_empty_file_is_no_checkpoint(tmp_path, saved):
    saved("step_1.pt", size=0)
    looks = Looks("checkpoints", GLOB, tmp_path)
    looks.look()
    assert looks.look().progress == 0


def test_what_is_smaller_than_asked_is_no_checkpoint(tmp_path, saved):
    saved("step_1.pt", size=99)
    saved("step_2.pt", size=100)
    looks = Looks("checkpoints", {"path": GLOB, "min_bytes": 100}, tmp_path)
    looks.look()
    assert looks.look().values["count"] == 1


def test_checkpoints_of_an_earlier_run_count_for_nothing(tmp_path, saved):
    saved("step_1.pt", at_ns=10)
    saved("step_2.pt", at_ns=30)
    looks = Looks("checkpoints", GLOB, tmp_path, began_ns=20)
    looks.look()
    reading = looks.look()
    assert (reading.progress, reading.newest) == (1, "checkpoints/step_2.pt")


def test_those_that_were_pruned_stay_counted(tmp_path, saved):
    looks = Looks("checkpoints", GLOB, tmp_path)
    for step in range(6):
        saved(f"step_{step}.pt")
        looks.look()
        reading = looks.look()
        if step >= 2:
            (tmp_path / "checkpoints" / f"step_{step - 2}.pt").unlink()
    assert (reading.progress, reading.values["count"]) == (6, 3)


def test_a_file_that_is_saved_again_and_again_counts_each_time(tmp_path, saved):
    looks = Looks("checkpoints", "checkpoints/last.pt", tmp_path)
    for at_ns in (10, 20, 30):
        saved("last.pt", at_ns=at_ns)
        looks.look()
        reading = looks.look()
    assert (reading.progress, reading.values["count"]) == (3, 1)


def test_a_file_saved_more_often_than_we_look_counts_too(tmp_path, saved):
    looks = Looks("checkpoints", "checkpoints/last.pt", tmp_path)
    for at_ns in (10, 20, 30, 40):
        saved("last.pt", at_ns=at_ns)
        reading = looks.look()
    assert (reading.progress, reading.values["count"], reading.values["age_s"]) == (3, 1, 0)


def test_a_file_replaced_at_other_sizes_counts_too(tmp_path, saved):
    looks = Looks("checkpoints", "checkpoints/last.pt", tmp_path)
    for at_ns in (10, 20, 30):
        saved("beside", size=at_ns, at_ns=at_ns).rename(tmp_path / "checkpoints" / "last.pt")
        reading = looks.look()
    assert reading.progress == 2


def test_age_runs_from_the_start_then_from_when_the_newest_was_first_seen(tmp_path, saved):
    looks = Looks("checkpoints", GLOB, tmp_path, now_s=100.0, began_s=40.0)
    none = looks.look(after_s=10).values["age_s"]
    saved("step_1.pt")
    looks.look(after_s=10)
    one = looks.look(after_s=5).values["age_s"]
    later = looks.look(after_s=60).values["age_s"]
    assert (none, one, later) == (70, 5, 65)


def test_a_new_checkpoint_makes_the_age_small_again(tmp_path, saved):
    looks = Looks("checkpoints", GLOB, tmp_path)
    saved("step_1.pt", at_ns=10)
    looks.look()
    looks.look(after_s=500)
    saved("step_2.pt", at_ns=20)
    looks.look()
    assert looks.look(after_s=3).values["age_s"] == 3


def test_after_a_restart_the_age_runs_from_the_new_start(tmp_path, saved):
    looks = Looks("checkpoints", GLOB, tmp_path, now_s=100.0, began_s=90.0)
    saved("step_1.pt", at_ns=10)
    looks.look()
    looks.look()
    looks.where.update(now_s=1000.0, began_s=990.0, began_ns=20)
    reading = looks.look(after_s=2)
    assert (reading.values["age_s"], reading.values["count"], reading.progress) == (12, 0, 1)


def test_a_folder_is_one_checkpoint_with_the_bytes_inside(tmp_path, saved):
    folder = tmp_path / "checkpoints" / "step_1"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights").write_bytes(b"x" * 70)
    (folder / "optimizer").write_bytes(b"x" * 30)
    looks = Looks("checkpoints", GLOB, tmp_path)
    looks.look()
    assert looks.look().values == {"count": 1, "bytes": 100, "age_s": 1, "newest_bytes": 100}


def test_a_folder_that_still_grows_is_not_counted(tmp_path, saved):
    folder = tmp_path / "checkpoints" / "step_1"
    folder.mkdir()
    looks = Looks("checkpoints", GLOB, tmp_path)
    for name in "abc":
        (folder / name).write_bytes(b"x")
        assert looks.look().progress == 0


def test_a_link_to_the_newest_is_not_a_second_one(tmp_path, saved):
    saved("step_1.pt")
    (tmp_path / "checkpoints" / "latest").symlink_to("step_1.pt")
    looks = Looks("checkpoints", "checkpoints/*", tmp_path)
    looks.look()
    reading = looks.look()
    assert (reading.values["count"], reading.newest) == (1, "checkpoints/step_1.pt")


def test_of_the_same_instant_the_higher_number_is_the_newest(tmp_path, saved):
    for name in ("step_9.pt", "step_100.pt", "step_20.pt"):
        saved(name, at_ns=10)
    assert find_newest(str(tmp_path), GLOB, 0) == "checkpoints/step_100.pt"


def test_a_folder_named_with_a_slash_is_looked_into(tmp_path, saved):
    saved("step_1.pt")
    looks = Looks("checkpoints", "checkpoints/", tmp_path)
    looks.look()
    assert looks.look().newest == "checkpoints/step_1.pt"


def test_two_stars_reach_every_folder(tmp_path, saved):
    deep = tmp_path / "checkpoints" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "step_3.pt").write_bytes(b"x")
    assert find_newest(str(tmp_path), "**/step_*.pt", 0) == "checkpoints/a/b/step_3.pt"


def test_a_name_with_brackets_is_found_as_it_is_written(tmp_path):
    (tmp_path / "run[1]").mkdir()
    (tmp_path / "run[1]" / "last.pt").write_bytes(b"x")
    assert find_newest(str(tmp_path), "run[1]/last.pt", 0) == "run[1]/last.pt"


def test_hundreds_of_checkpoints_are_counted_and_few_remembered(tmp_path, saved):
    for step in range(300):
        saved(f"step_{step}.pt", size=1, at_ns=1000 + step)
    looks = Looks("checkpoints", GLOB, tmp_path)
    looks.look()
    reading = looks.look()
    assert (reading.values["count"], reading.progress, len(looks.memory["seen"])) == (300, 300, 50)


def test_none_is_said(tmp_path):
    reading = Looks("checkpoints", GLOB, tmp_path).look()
    assert (reading.there, reading.progress, reading.newest, reading.text) == (
        False,
        0,
        "",
        "checkpoints/step_*: none of this run yet",
    )


def test_a_fifo_among_them_blocks_nobody(tmp_path, saved):
    os.mkfifo(tmp_path / "checkpoints" / "step_1.pt")
    looks = Looks("checkpoints", GLOB, tmp_path)
    looks.look()
    assert (looks.look().progress, find_newest(str(tmp_path), GLOB, 0)) == (0, "")


# To go on from


def test_the_newest_since_then_is_found(tmp_path, saved):
    saved("step_1.pt", at_ns=10)
    saved("step_2.pt", at_ns=30)
    saved("step_3.pt", at_ns=20)
    assert find_newest(str(tmp_path), GLOB, 15) == "checkpoints/step_2.pt"
    assert find_newest(str(tmp_path), GLOB, 40) == ""


def test_what_was_cut_short_is_passed_over(tmp_path, saved):
    torch = pytest.importorskip("torch")
    for step in (1, 2):
        torch.save({"w": torch.zeros(1000)}, tmp_path / "checkpoints" / f"step_{step}.pt")
        os.utime(tmp_path / "checkpoints" / f"step_{step}.pt", ns=(step, step))
    newest = find_newest(str(tmp_path), GLOB, 0)
    os.truncate(tmp_path / "checkpoints" / "step_2.pt", 2000)
    os.utime(tmp_path / "checkpoints" / "step_2.pt", ns=(2, 2))
    assert (newest, find_newest(str(tmp_path), GLOB, 0)) == ("checkpoints/step_2.pt", "checkpoints/step_1.pt")


def safetensors(size):
    header = json.dumps({"w": {"dtype": "F32", "shape": [25], "data_offsets": [0, 100]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * size


@pytest.mark.parametrize(("size", "found"), [(100, "checkpoints/step_1.safetensors"), (60, "")])
def test_tensors_that_lack_bytes_are_passed_over(tmp_path, saved, size, found):
    saved("step_1.safetensors").write_bytes(safetensors(size))
    assert find_newest(str(tmp_path), GLOB, 0) == found


def test_a_folder_with_a_part_cut_short_is_passed_over(tmp_path, saved):
    for name, size in (("step_1", 100), ("step_2", 60)):
        folder = tmp_path / "checkpoints" / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(safetensors(size))
    assert find_newest(str(tmp_path), GLOB, 0) == "checkpoints/step_1"


def test_nothing_temporary_empty_or_missing_is_gone_on_from(tmp_path, saved):
    saved("step_3.pt.tmp")
    saved("step_2.pt", size=0)
    (tmp_path / "checkpoints" / "step_4.pt").symlink_to("nowhere")
    assert find_newest(str(tmp_path), GLOB, 0) == ""


# Written in parts, pruned, renamed


def folder_of(tmp_path, name, **files):
    folder = tmp_path / "checkpoints" / name
    folder.mkdir(parents=True, exist_ok=True)
    for inner, size in files.items():
        (folder / inner).write_bytes(b"x" * size)
    return folder


def seen(looks, count=3):
    """What of the next looks the last one says."""
    return [looks.look() for _ in range(count)][-1]


@pytest.mark.parametrize("lacks", ["shard", "index", "metadata"])
def test_a_folder_that_lacks_a_part_is_not_counted_until_it_is_there(tmp_path, lacks):
    folder = tmp_path / "checkpoints" / "step_1"
    folder.mkdir(parents=True)
    (folder / "model-00001-of-00002.bin").write_bytes(b"x")
    parts = {"shard": ("model-00002-of-00002.bin", b"x"), "index": ("other.bin", b"x"), "metadata": (".metadata", b"x")}
    if lacks != "shard":
        (folder / "model-00002-of-00002.bin").write_bytes(b"x")
    if lacks == "index":
        (folder / "model.bin.index.json").write_text('{"weight_map": {"a": "other.bin"}}')
    if lacks == "metadata":
        (folder / "__0_0.distcp").write_bytes(b"x")
    looks = Looks("checkpoints", GLOB, tmp_path)
    reading = seen(looks)
    assert (reading.progress, reading.text) == (0, f"{GLOB}: none of this run yet, 1 one not whole")
    name, content = parts[lacks]
    (folder / name).write_bytes(content)
    assert seen(looks).progress == 1


def test_a_file_cut_short_is_not_counted(tmp_path, saved):
    saved("step_1.pt").write_bytes(b"PK\x03\x04" + b"x" * 100)
    looks = Looks("checkpoints", GLOB, tmp_path)
    assert seen(looks).progress == 0
    saved("step_1.pt").write_bytes(b"PK\x03\x04" + b"x" * 100 + b"PK\x05\x06" + b"\0" * 18)
    assert seen(looks).progress == 1


def test_a_folder_must_have_been_still_for_a_moment(tmp_path):
    folder_of(tmp_path, "step_1", a=10)
    looks = Looks("checkpoints", GLOB, tmp_path)
    assert [looks.look(after_s=0.3).progress for _ in range(6)] == [0] * 4 + [1] * 2


def test_parts_removed_from_a_checkpoint_make_no_new_one(tmp_path):
    folder = folder_of(tmp_path, "step_1", model=10, optimizer=90)
    looks = Looks("checkpoints", GLOB, tmp_path)
    before = seen(looks)
    (folder / "optimizer").unlink()
    after = seen(looks)
    assert (before.progress, after.progress, after.values["bytes"]) == (1, 1, 10)
    assert after.values["age_s"] > before.values["age_s"]


def test_a_checkpoint_renamed_is_no_new_one(tmp_path, saved):
    saved("step_1.pt")
    folder_of(tmp_path, "step_2", a=10)
    looks = Looks("checkpoints", GLOB, tmp_path)
    assert seen(looks).progress == 2
    (tmp_path / "checkpoints" / "step_1.pt").rename(tmp_path / "checkpoints" / "step_best.pt")
    (tmp_path / "checkpoints" / "step_2").rename(tmp_path / "checkpoints" / "step_2_good")
    assert seen(looks).progress == 2


def test_one_written_under_a_temporary_name_counts_once_it_has_its_own(tmp_path):
    folder = folder_of(tmp_path, "step_1.tmp", a=10)
    looks = Looks("checkpoints", GLOB, tmp_path)
    assert seen(looks).progress == 0
    folder.rename(tmp_path / "checkpoints" / "step_1")
    assert seen(looks).progress == 1


@pytest.mark.parametrize("name", ["tmpab12cd34", "step_1.in-progress", "step_1-partial", "step_1.saving"])
def test_a_file_in_a_temporary_folder_is_no_checkpoint(tmp_path, name):
    folder_of(tmp_path, name, model=10)
    assert seen(Looks("checkpoints", "checkpoints/*/model", tmp_path)).progress == 0


def test_a_temporary_name_above_the_glob_means_nothing(tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "step_1").write_bytes(b"x")
    assert seen(Looks("checkpoints", "tmp/step_*", tmp_path)).progress == 1


def test_what_is_there_when_the_run_has_ended_is_finished(tmp_path, saved):
    saved("step_1.pt")
    assert Looks("checkpoints", GLOB, tmp_path, ended=True).look().progress == 1
