from __future__ import annotations

import os
import shutil

import psutil
import pytest

from tests.unit.places import Looks

GIB = 1024**3


# disk


def test_free_space_is_that_of_the_disk(tmp_path):
    values = Looks("disk", ".", tmp_path).look().values
    usage = shutil.disk_usage(tmp_path)
    assert values["total_bytes"] == usage.total
    assert abs(values["free_bytes"] - usage.free) < GIB
    assert 0 < values["free_percent"] <= 100


def test_a_disk_that_takes_what_is_written_is_writable(tmp_path):
    reading = Looks("disk", str(tmp_path), tmp_path).look()
    assert (reading.values["writable"], os.listdir(tmp_path)) == (1, [])


def test_a_file_stands_for_its_folder(tmp_path):
    (tmp_path / "a").touch()
    assert Looks("disk", "a", tmp_path).look().values["writable"] == 1


def test_a_disk_that_refuses_is_told_with_its_reason():
    reading = Looks("disk", "/proc", "/").look()
    assert reading.values["writable"] == 0
    assert "cannot write: " in reading.text


def test_a_disk_is_written_to_once_a_minute(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    looks = Looks("disk", "data", tmp_path)
    changed = []
    for after_s in (1, 30, 20, 20):
        os.utime(folder, ns=(1, 1))
        looks.look(after_s=after_s)
        changed.append(os.stat(folder).st_mtime_ns != 1)
    assert changed == [True, False, False, True]


def test_a_disk_may_be_left_unwritten(tmp_path):
    os.utime(tmp_path, ns=(1, 1))
    reading = Looks("disk", {"path": ".", "write": False}, tmp_path).look()
    assert "writable" not in reading.values
    assert os.stat(tmp_path).st_mtime_ns == 1


def test_a_missing_path_is_not_there(tmp_path):
    reading = Looks("disk", "data", tmp_path).look()
    assert (reading.there, reading.text) == (False, "data: No such file or directory")


# memory

MEMINFO = "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\nSwapTotal: 1024 kB\nSwapFree: 1000 kB\n"


@pytest.fixture
def machine(tmp_path):
    """A machine with a control group whose job is process 7."""
    (tmp_path / "proc" / "7").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(MEMINFO)
    (tmp_path / "proc" / "vmstat").write_text("nr_free_pages 5\noom_kill 3\n")
    return tmp_path


def group(machine, version, **files):
    lines = {1: "4:memory:/box\n1:cpu:/other\n", 2: "0::/box\n"}
    (machine / "proc" / "7" / "cgroup").write_text(lines[version])
    folder = machine / "sys" / "fs" / "cgroup" / ("memory/box" if version == 1 else "box")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(text)


def looking(machine):
    looks = Looks("memory", True, machine, pid=7)
    return lambda: looks.look(proc=str(machine / "proc"), sys=str(machine / "sys"))


def test_memory_of_this_machine_is_told(tmp_path):
    reading = Looks("memory", True, tmp_path).look()
    assert reading.there
    assert 0 < reading.values["available_percent"] <= 100


def test_memory_is_what_the_machine_has_available(machine):
    values = looking(machine)().values
    assert (values["available_bytes"], values["total_bytes"]) == (4 * GIB, 8 * GIB)
    assert (values["available_percent"], values["swap_used_bytes"]) == (50, 24 * 1024)


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (2, {"max": f"{2 * GIB}\n", "current": f"{2 * GIB}\n", "stat": f"anon 1\ninactive_file {GIB}\n"}),
        (
            1,
            {
                "limit_in_bytes": f"{2 * GIB}\n",
                "usage_in_bytes": f"{2 * GIB}\n",
                "stat": f"total_inactive_file {GIB}\n",
            },
        ),
    ],
)
def test_a_group_with_less_room_is_what_counts(machine, version, files):
    group(
        machine, version, **files, **({"events": "oom_kill 0\n"} if version == 2 else {"oom_control": "oom_kill 0\n"})
    )
    values = looking(machine)().values
    assert (values["available_bytes"], values["total_bytes"]) == (GIB, 2 * GIB)


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (2, {"max": "max\n", "current": "5\n"}),
        (1, {"limit_in_bytes": "9223372036854771712\n", "usage_in_bytes": "5\n"}),
    ],
)
def test_a_group_without_limit_has_the_machines_room(machine, version, files):
    group(machine, version, **files, events="oom_kill 0\n", oom_control="oom_kill 0\n")
    assert looking(machine)().values["total_bytes"] == 8 * GIB


def test_kills_are_counted_from_the_first_look(machine):
    look = looking(machine)
    first = look().values["oom_kills"]
    (machine / "proc" / "vmstat").write_text("oom_kill 5\n")
    reading = look()
    assert (first, reading.values["oom_kills"]) == (0, 2)
    assert "2 processes killed for memory" in reading.text


@pytest.mark.parametrize(("version", "name"), [(2, "events"), (1, "oom_control")])
def test_kills_of_a_neighbour_are_not_the_jobs(machine, version, name):
    group(machine, version, **{name: "under_oom 0\noom_kill 1\n"})
    look = looking(machine)
    look()
    (machine / "proc" / "vmstat").write_text("oom_kill 9\n")
    neighbour = look().values
    group(machine, version, **{name: "under_oom 0\noom_kill 2\n"})
    ours = look().values
    assert (neighbour["oom_kills"], neighbour["oom_kills_machine"], ours["oom_kills"]) == (0, 6, 1)


def test_a_system_that_tells_nothing_is_told(tmp_path):
    assert not Looks("memory", True, tmp_path).look(proc=str(tmp_path)).there
    assert psutil.Process().pid == os.getpid()  # psutil reads /proc again


# gpu


class Library:
    """NVIDIA's management library with as many cards as it is given: (busy %, used, total, degrees)."""

    def __init__(self, *cards):
        self.cards = cards

    def nvmlDeviceGetCount_v2(self, count):  # noqa: N802 - the library's own names
        count._obj.value = len(self.cards)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number, handle):  # noqa: N802
        handle._obj.value = number + 1
        return 0

    def _card(self, handle):
        return self.cards[handle.value - 1]

    def nvmlDeviceGetUtilizationRates(self, handle, rates):  # noqa: N802
        busy = self._card(handle)[0]
        if busy is None:
            return 3
        rates._obj[0] = busy
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle, room):  # noqa: N802
        _, used, total, _ = self._card(handle)
        room._obj[:] = total, total - used, used
        return 0

    def nvmlDeviceGetTemperature(self, handle, sensor, degrees):  # noqa: N802
        assert sensor == 0
        degrees._obj.value = self._card(handle)[3]
        return 0


def nvidia(tmp_path, *cards, asks=True, library=None):
    for at in range(len(cards)):
        (tmp_path / "driver" / "nvidia" / "gpus" / f"0000:0{at}").mkdir(parents=True)
    looks = Looks("gpu", asks, tmp_path)
    return looks.look(proc=str(tmp_path), sys=str(tmp_path), library=library or (lambda: Library(*cards)))


def test_no_gpu_is_told(tmp_path):
    reading = Looks("gpu", True, tmp_path).look(proc=str(tmp_path), sys=str(tmp_path))
    assert (reading.there, reading.text) == (False, "no GPU here")


def test_a_gpu_tells_work_memory_and_warmth(tmp_path):
    reading = nvidia(tmp_path, (97, 40 * GIB, 80 * GIB, 61))
    assert reading.values == {
        "gpus": 1,
        "utilization_percent": 97,
        "memory_used_bytes": 40 * GIB,
        "memory_total_bytes": 80 * GIB,
        "memory_percent": 50,
        "temperature_c": 61,
    }
    assert reading.text == "1 GPU, 97 % busy, 40 GiB of 80 GiB, 61 °C"


def test_of_several_gpus_the_mean_the_fullest_and_each_are_told(tmp_path):
    values = nvidia(tmp_path, (100, 10, 100, 50), (0, 90, 100, 40)).values
    assert (values["utilization_percent"], values["memory_percent"], values["temperature_c"]) == (50, 90, 50)
    assert (values["gpu0_utilization_percent"], values["gpu1_utilization_percent"]) == (100, 0)


def test_one_gpu_may_be_asked_for(tmp_path):
    assert nvidia(tmp_path, (100, 10, 100, 50), (7, 90, 100, 40), asks=1).values["utilization_percent"] == 7


def test_a_gpu_that_is_not_there_is_told_with_how_many_there_are(tmp_path):
    reading = nvidia(tmp_path, (100, 10, 100, 50), asks=4)
    assert (reading.there, reading.text) == (False, "no GPU 4 here: there are 1, counted from 0")


def test_what_a_gpu_does_not_tell_is_left_out(tmp_path):
    assert "utilization_percent" not in nvidia(tmp_path, (None, 10, 100, 50)).values


def test_without_the_library_the_cards_are_counted(tmp_path):
    assert nvidia(tmp_path, (1, 2, 3, 4), (1, 2, 3, 4), library=lambda: None).values == {"gpus": 2}


def test_cards_of_amd_are_read_from_the_kernel(tmp_path):
    device = tmp_path / "class" / "drm" / "card1" / "device"
    device.mkdir(parents=True)
    (tmp_path / "class" / "drm" / "card0" / "device").mkdir(parents=True)
    (device / "gpu_busy_percent").write_text("42\n")
    (device / "mem_info_vram_used").write_text("25\n")
    (device / "mem_info_vram_total").write_text("100\n")
    values = Looks("gpu", True, tmp_path).look(proc=str(tmp_path), sys=str(tmp_path)).values
    assert (values["gpus"], values["utilization_percent"], values["memory_percent"]) == (1, 42, 25)
