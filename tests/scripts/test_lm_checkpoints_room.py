"""A full disk stops a training for a while, never for good; a second home has all that the first one has."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
fsspec = pytest.importorskip("fsspec")

from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402

from common import files  # noqa: E402  # they need torch
from small_lm.checkpoints import Checkpoints, Patience  # noqa: E402
from small_lm.errors import RETRY_LATER, USAGE, Trouble  # noqa: E402

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LIMIT_S = 300
QUICK = Patience(limit_s=LIMIT_S, retry_s=0.02, home_limit_s=LIMIT_S)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "checkpoints"


def opened(folder, **others):
    given = {"keep_last": 2, "keep_best": 1, "metric": "loss", "patience": QUICK}
    return Checkpoints(folder, **(given | others))


def save(kept, step, loss=1.0, size=50_000):
    held = {"w": torch.full((size,), float(step))}
    kept.save(step, weights=held, full={"m": torch.full((size,), -step)}, metrics={"loss": loss})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def until(is_so):
    """Wait for something that another thread or process does."""
    ends = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.005)


def alerts(path):
    return [row["alert"] for row in files.read_jsonl(path)] if path.exists() else []


# A full disk


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, check=False
    ).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(path):
    """Write until nothing fits any more."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


class Cleaner(threading.Thread):
    """Removes what fills a disk once an alert is there; notes what the folder held until then."""

    def __init__(self, alerts_path, ballast, folder):
        super().__init__()
        self.alerts_path, self.ballast, self.folder, self.seen = alerts_path, ballast, folder, []

    def run(self):
        try:
            until(lambda: alerts(self.alerts_path))
            self.seen = [{*names(self.folder)} for _ in range(20) if not time.sleep(0.01)]
        finally:
            self.ballast.unlink()


def test_on_a_full_disk_the_training_pauses_then_goes_on(small_disk, tmp_path, capsys):
    folder, told = small_disk / "checkpoints", tmp_path / "alerts.jsonl"
    kept = opened(folder, alerts=told)
    for step in (1, 2):
        save(kept, step, loss=step)
    fill(small_disk / "ballast")
    weights, full = {"w": torch.full((50_000,), 3.0)}, {"m": torch.full((50_000,), -3)}
    cleaner = Cleaner(told, small_disk / "ballast", folder)
    cleaner.start()
    kept.save(3, weights=weights, full=full, metrics={"loss": 3.0})
    cleaner.join()
    assert all({"step_00000001", "step_00000002"} <= seen for seen in cleaner.seen)
    assert any(seen == {"step_00000001", "step_00000002"} for seen in cleaner.seen)
    assert torch.equal(weights["w"], torch.full((50_000,), 3.0))
    assert torch.equal(full["m"], torch.full((50_000,), -3))
    assert names(folder) == ["best_00000001", "step_00000002", "step_00000003"]
    assert torch.equal(opened(folder).newest_full().full["m"], full["m"])
    assert alerts(told) == ["disk_full", "disk_full_over"]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["alert", "alert"]
    assert "has no room for a checkpoint" in lines[0]
    assert "training goes on" in lines[1]


def test_an_alert_that_does_not_fit_is_written_later(small_disk):
    folder, told = small_disk / "checkpoints", small_disk / "training_logs" / "alerts.jsonl"
    kept = opened(folder)
    save(kept, 1)
    fill(small_disk / "ballast")
    writer = threading.Thread(target=save, args=(kept, 2))
    writer.start()
    until(lambda: kept.alerts.unwritten)
    (small_disk / "ballast").unlink()
    writer.join()
    assert alerts(told) == ["disk_full", "disk_full_over"]
    assert names(folder) == ["step_00000001", "step_00000002"]


def test_a_disk_that_stays_full_ends_the_training_with_all_that_was_saved(small_disk, tmp_path):
    folder = small_disk / "checkpoints"
    kept = opened(folder, alerts=tmp_path / "alerts.jsonl", patience=Patience(limit_s=0.1, retry_s=0.02))
    save(kept, 1)
    fill(small_disk / "ballast")
    with pytest.raises(Trouble, match=r"step 2: .* has no room .* for too long: free some, then go on") as told:
        save(kept, 2)
    assert told.value.exit_code == RETRY_LATER
    assert names(folder) == ["step_00000001"]
    assert opened(folder).newest_full().step == 1


LIMITED = """
import resource, sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from small_lm.checkpoints import Checkpoints, Patience

folder = Path(sys.argv[2])
kept = Checkpoints(folder, keep_last=1, keep_best=0, metric="loss", patience=Patience(retry_s=0.02))
kept.save(1, weights={"w": torch.ones(9)}, full={"m": torch.ones(9)}, metrics={})

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def lift():
    while not (folder.parent / "training_logs" / "alerts.jsonl").exists():
        time.sleep(0.01)
    limit(resource.RLIM_INFINITY)

limit(20_000)
threading.Thread(target=lift).start()
kept.save(2, weights={"w": torch.ones(10)}, full={"m": torch.full((90_000,), 2)}, metrics={})
print(sorted(path.name for path in folder.iterdir()), int(kept.newest_full().full["m"].sum()))
"""


def test_a_limit_of_file_sizes_is_waited_out_as_well(folder):
    command = [sys.executable, "-c", LIMITED, str(SCRIPTS), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "['step_00000002'] 180000\n"), done.stderr
    assert done.stderr.count("alert: ") == 2
    assert alerts(folder.parent / "training_logs" / "alerts.jsonl") == ["disk_full", "disk_full_over"]


# A second home


@pytest.fixture(params=["memory", "file"])
def home(request, tmp_path):
    """The URL of an empty place."""
    return f"memory://{uuid.uuid4().hex}/deep/place" if request.param == "memory" else f"file://{tmp_path}/second/home"


def listed(url):
    files, root = fsspec.core.url_to_fs(url)
    return sorted(path.rsplit("/", 1)[-1] for path in files.ls(root, detail=False))


def test_the_second_home_has_what_the_first_has(folder, home):
    with opened(folder, second_home=home) as kept:
        for step, loss in enumerate([1.0, 5.0, 4.0, 3.0], 1):
            save(kept, step, loss)
    assert listed(home) == names(folder) == ["best_00000001", "step_00000003", "step_00000004"]


def test_an_empty_folder_is_filled_from_the_second_home(folder, home, tmp_path):
    with opened(folder, second_home=home) as kept:
        for step in (1, 2, 3):
            save(kept, step, float(step))
    elsewhere = tmp_path / "elsewhere"
    found = opened(elsewhere, second_home=home).newest_full()
    assert (found.step, found.path.parent) == (3, elsewhere)
    assert torch.equal(found.full["m"], torch.full((50_000,), -3))
    assert names(elsewhere) == names(folder)
    assert opened(tmp_path / "third", second_home=home).best().step == 1


def test_a_folder_that_is_taken_away_takes_nothing_from_the_second_home(folder, home, tmp_path):
    with opened(folder, second_home=home) as kept:
        save(kept, 1)
    shutil.rmtree(folder)
    kept.home.mirror()
    assert opened(tmp_path / "elsewhere", second_home=home).newest_full().step == 1


def test_one_goes_on_from_the_second_home(folder, home, tmp_path):
    with opened(folder, second_home=home) as kept:
        save(kept, 1)
    with opened(tmp_path / "elsewhere", second_home=home) as kept:
        assert kept.newest_full().step == 1
        save(kept, 2, 0.5)
        save(kept, 3, 2.0)
    assert listed(home) == ["step_00000002", "step_00000003"]


def test_what_is_damaged_here_comes_from_the_second_home(folder, home):
    with opened(folder, second_home=home) as kept:
        save(kept, 1)
    (folder / "step_00000001" / "state.pt").write_bytes(b"x")
    kept = opened(folder, second_home=home)
    assert kept.newest_full().step == 1
    assert opened(folder).newest_full().step == 1


def test_half_a_copy_counts_for_nothing(folder, home, tmp_path, capsys):
    with opened(folder, second_home=home) as kept:
        for step in (1, 2, 3):
            save(kept, step, float(step))
    files, root = fsspec.core.url_to_fs(home)
    files.rm(f"{root}/step_00000003/manifest.json")
    files.pipe_file(f"{root}/step_00000002/state.pt", b"x")
    kept = opened(tmp_path / "elsewhere", second_home=home)
    assert kept.newest_full() is None
    assert kept.best().step == 1
    assert names(tmp_path / "elsewhere") == ["best_00000001"]
    assert "step_00000002 is skipped: state.pt has 1 of" in capsys.readouterr().err


def test_another_run_does_not_take_over_a_second_home(folder, home, tmp_path):
    with opened(folder, second_home=home) as kept:
        save(kept, 1)
    with pytest.raises(Trouble, match="holds step_00000001 of another training") as told:
        save(opened(tmp_path / "elsewhere", second_home=home), 1)
    assert told.value.exit_code == USAGE
    assert listed(home) == ["step_00000001"]


def test_two_runs_that_share_a_second_home_do_not_remove_each_others(folder, home, tmp_path, capsys):
    first = opened(folder, second_home=home)
    second = opened(tmp_path / "elsewhere", second_home=home, patience=Patience(retry_s=0.02, home_limit_s=0.2))
    save(first, 1)
    first.close()
    save(second, 2)
    second.close()
    assert listed(home) == ["step_00000001"]
    assert "holds step_00000001 of another training" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["nothing://x", "gcs://bucket/x"])
def test_a_second_home_that_cannot_be_is_told_before_training(folder, url):
    with pytest.raises(Trouble, match=url) as told:
        opened(folder, second_home=url)
    assert told.value.exit_code in {USAGE, RETRY_LATER}


def test_a_second_home_that_fails_for_a_while_only_alerts(folder, tmp_path):
    place, told = tmp_path / "second", folder.parent / "training_logs" / "alerts.jsonl"
    kept = opened(folder, second_home=f"file://{place}/home")
    place.write_text("in the way")
    save(kept, 1)
    until(lambda: alerts(told))
    save(kept, 2)
    place.unlink()
    kept.close()
    assert names(place / "home") == ["step_00000001", "step_00000002"]
    assert alerts(told) == ["second_home", "second_home_over"]


def test_a_second_home_that_fails_to_the_end_is_not_waited_for_for_ever(folder, tmp_path, capsys):
    (tmp_path / "second").mkdir()
    kept = opened(
        folder, second_home=f"file://{tmp_path}/second/home", patience=Patience(retry_s=0.02, home_limit_s=0.1)
    )
    (tmp_path / "second").rmdir()
    (tmp_path / "second").write_text("in the way")
    save(kept, 1)
    kept.close()
    assert "lacks checkpoints at the end" in capsys.readouterr().err
    assert opened(folder).newest_full().step == 1


class Slow(MemoryFileSystem):
    """Takes no file until it is told to."""

    protocol = "slow"
    store, pseudo_dirs = {}, [""]
    begun, may_go = threading.Event(), threading.Event()

    def put_file(self, *given, **named):
        self.begun.set()
        assert self.may_go.wait(LIMIT_S)
        return super().put_file(*given, **named)


def test_one_that_is_being_copied_stays_until_it_is(folder):
    fsspec.register_implementation("slow", Slow, clobber=True)
    Slow.begun.clear()
    Slow.may_go.clear()
    kept = opened(folder, keep_last=1, keep_best=0, second_home="slow://place")
    save(kept, 1)
    assert Slow.begun.wait(LIMIT_S)
    save(kept, 2)
    save(kept, 3)
    assert names(folder) == ["step_00000001", "step_00000003"]
    Slow.may_go.set()
    kept.close()
    assert names(folder) == listed("slow://place") == ["step_00000003"]


LEAVES = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from small_lm.checkpoints import Checkpoints

kept = Checkpoints(Path(sys.argv[2]), keep_last=2, keep_best=0, metric="loss", second_home=sys.argv[3])
for step in range(1, 6):
    kept.save(step, weights={"w": torch.ones(200_000)}, full={"s": step}, metrics={})
"""


def test_a_process_that_ends_without_closing_copies_first(folder, tmp_path):
    command = [sys.executable, "-c", LEAVES, str(SCRIPTS), str(folder), f"file://{tmp_path}/second"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {"step_00000004", "step_00000005"} <= {*names(tmp_path / "second")}
