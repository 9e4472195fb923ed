"""Which checkpoints stay; what a reader finds after damage, and after kill -9."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from executor.monitoring.probes.checkpoints import candidates, find_newest  # noqa: E402
from small_lm import checkpoint_folder, optimizer  # noqa: E402  # they need torch
from small_lm.checkpoints import Checkpoints  # noqa: E402
from small_lm.errors import USAGE, Trouble  # noqa: E402
from small_lm.model import Llama, preset  # noqa: E402
from small_lm.settings import Keep, Optimiser, Run  # noqa: E402

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
KILLS = 20
DEFAULTS = {"keep_last": 2, "keep_best": 2, "metric": "loss"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "checkpoints"


def weights(step):
    return {"a": torch.full((40,), float(step)), "b": torch.arange(6).reshape(2, 3).t() + step}


def full(step):
    return {"step": step, "chance": torch.full((300,), step), "data": {"position": 7 * step, "seen": [1, 2.5, "x"]}}


def save(kept, step, loss=None, *, light=False):
    metrics = {} if loss is None else {"loss": loss}
    kept.save(step, weights=weights(step), full=None if light else full(step), metrics=metrics)


def opened(folder, **others):
    return Checkpoints(folder, **(DEFAULTS | others))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def holds(found, step):
    """Whether a full checkpoint is what was saved for its step."""
    same = all(torch.equal(found.weights[name], value) for name, value in weights(step).items())
    state = full(step)
    same_chance = torch.equal(found.full.pop("chance"), state.pop("chance"))
    return found.step == step and same and same_chance and found.full == state


# What stays


def test_an_empty_folder_holds_nothing(folder):
    kept = opened(folder)
    assert (kept.newest_full(), kept.best()) == (None, None)
    assert not folder.exists()


def test_the_last_stay_in_full_and_of_the_best_the_weights(folder):
    kept = opened(folder)
    for step, loss in enumerate([5.0, 1.0, 4.0, 2.0, 3.0, 9.0], 1):
        save(kept, step, loss)
    assert names(folder) == ["best_00000002", "best_00000004", "step_00000005", "step_00000006"]
    assert names(folder / "best_00000002") == ["manifest.json", "weights.safetensors"]
    assert holds(kept.newest_full(), 6)
    best = kept.best()
    assert (best.step, best.full, best.metrics) == (2, None, {"loss": 1.0})
    assert torch.equal(best.weights["b"], weights(2)["b"])


def test_one_that_is_both_lies_there_once(folder):
    kept = opened(folder)
    save(kept, 1, 1.0)
    save(kept, 2, 2.0)
    assert names(folder) == ["step_00000001", "step_00000002"]
    assert kept.best().path == kept.full_ones()[1].path


def test_one_of_each_is_the_least(folder):
    kept = opened(folder, keep_last=1, keep_best=0)
    for step in (1, 2, 3):
        save(kept, step, 1.0)
        save(kept, step, 1.0, light=True)
    assert names(folder) == ["step_00000003"]
    with pytest.raises(Trouble, match=r"keep\.last must be 1"):
        opened(folder, keep_last=0)


def test_nan_is_never_the_best(folder):
    kept = opened(folder, keep_last=1, keep_best=3)
    for step, loss in enumerate([math.nan, 3.0, math.inf, math.nan, -math.inf], 1):
        save(kept, step, loss)
        save(kept, step + 10_000, loss, light=True)
    assert kept.best().step == 2
    assert names(folder) == ["best_00000002", "best_00010002", "step_00000005"]
    assert math.isnan(opened(folder).newest_full().metrics["loss"]) is False
    assert opened(folder).newest_full().metrics["loss"] == -math.inf


def test_of_equals_the_earlier_stays(folder):
    kept = opened(folder, keep_last=1, keep_best=1)
    for step in (1, 2, 3):
        save(kept, step, 1.0)
    assert names(folder) == ["best_00000001", "step_00000003"]


def test_weights_are_not_written_when_others_are_better(folder):
    kept = opened(folder, keep_best=1)
    save(kept, 1, 1.0, light=True)
    before = (folder / "best_00000001").stat()
    save(kept, 2, 1.5, light=True)
    save(kept, 3, light=True)
    assert names(folder) == ["best_00000001"]
    assert (folder / "best_00000001").stat().st_ino == before.st_ino


def test_a_later_judgement_of_a_full_one_only_adds_its_metric(folder):
    kept = opened(folder)
    save(kept, 1)
    save(kept, 1, 0.5, light=True)
    assert names(folder) == ["step_00000001"]
    assert holds(kept.newest_full(), 1)
    assert kept.best().metrics == {"loss": 0.5}


def test_a_step_done_again_takes_the_place_of_the_first(folder):
    kept = opened(folder)
    save(kept, 1, 9.0, light=True)
    save(kept, 1, 2.0)
    save(kept, 1, 3.0)
    assert names(folder) == ["step_00000001"]
    assert holds(kept.newest_full(), 1)
    assert kept.best().metrics == {"loss": 3.0}


def test_another_run_does_not_mix_with_what_is_there(folder):
    save(opened(folder), 50, 1.0)
    with pytest.raises(Trouble, match=r"holds step 50 already.*go on from that") as told:
        save(opened(folder), 10, 1.0)
    assert told.value.exit_code == USAGE
    assert names(folder) == ["step_00000050"]


def test_tied_weights_are_held_once_and_come_back_tied_by_value(folder):
    table = torch.arange(3000.0).reshape(30, 100)
    tied = {"in": table, "out": table, "part": table[3:5], "none": torch.zeros(0), "scalar": torch.tensor(2.0)}
    kept = opened(folder)
    kept.save(1, weights=tied, full=None, metrics={"loss": 1})
    found = kept.best().weights
    assert found.keys() == tied.keys()
    assert all(torch.equal(found[name], value) for name, value in tied.items())
    assert (folder / "best_00000001" / "weights.safetensors").stat().st_size < 1.3 * table.nbytes


def test_what_cannot_be_loaded_safely_is_refused_at_once(folder):
    with pytest.raises(Trouble, match="cannot be loaded again"):
        opened(folder).save(1, weights=weights(1), full={"odd": Path("x")}, metrics={})
    assert names(folder) == []


saves = st.lists(
    st.tuples(
        st.booleans(),
        st.one_of(st.none(), st.integers(0, 4).map(float), st.floats(), st.floats(0, 1, allow_nan=False)),
    ),
    max_size=12,
)


@given(saves, st.integers(1, 3), st.integers(0, 3), st.booleans(), st.integers(0, 12))
@settings(max_examples=30)
def test_what_stays_are_the_last_and_the_best_of_all(made, last, best, higher, restart):
    with tempfile.TemporaryDirectory() as place:
        rules = {"keep_last": last, "keep_best": best, "higher_is_better": higher}
        kept = opened(Path(place, "c"), **rules)
        for step, (light, value) in enumerate(made):
            if step == restart:
                kept = opened(Path(place, "c"), **rules)
            save(kept, step, value, light=light)
        sign = -1 if higher else 1
        measured = [(sign * loss, n) for n, (_, loss) in enumerate(made) if loss is not None and math.isfinite(loss)]
        wanted_best = {n for _, n in sorted(measured)[:best]}
        wanted_last = set([n for n, (light, _) in enumerate(made) if not light][-last:])
        there = {one.step: one.is_full for one in kept.sound()}
        assert there == {n: n in wanted_last for n in wanted_last | wanted_best}
        assert len(there) == (len(names(Path(place, "c"))) if made else 0)


def ignite_keeps(place, scores, last, best):
    """Return the steps that pytorch-ignite's two handlers leave on disk, in full and by score."""
    handlers = pytest.importorskip("ignite.handlers")
    engine = pytest.importorskip("ignite.engine").Engine(lambda _engine, _batch: None)
    model, folders = torch.nn.Linear(1, 1), (place / "last", place / "best")
    step = {"global_step_transform": lambda engine, _: engine.state.iteration, "filename_pattern": "{global_step}.pt"}
    by_step, by_score = (handlers.DiskSaver(str(folder)) for folder in folders)
    both = [
        handlers.Checkpoint({"model": model}, by_step, n_saved=last, **step),
        handlers.Checkpoint(
            {"model": model}, by_score, n_saved=best, score_function=lambda engine: engine.state.score, **step
        ),
    ]
    for number, score in enumerate(scores, 1):
        engine.state.iteration, engine.state.score = number, score
        for one in both:
            one(engine)
    return [{int(path.stem) for path in folder.iterdir()} for folder in folders]


@given(st.data(), st.integers(1, 3), st.integers(1, 4), st.booleans())
@settings(max_examples=30)
def test_it_keeps_what_the_handlers_of_ignite_keep(data, last, best, higher):
    few, many = st.integers(0, 3), st.integers(-(10**6), 10**6)
    losses = [float(one) for one in data.draw(st.lists(data.draw(st.sampled_from([few, many])), max_size=15))]
    with tempfile.TemporaryDirectory() as place:
        scores = losses if higher else [-one for one in losses]
        theirs_last, theirs_best = ignite_keeps(Path(place), scores, last, best)
        kept = opened(Path(place, "ours"), keep_last=last, keep_best=best, higher_is_better=higher)
        for step, loss in enumerate(losses, 1):
            save(kept, step, loss)
        there = kept.sound()
        ours_best = {one.step for one in kept.rule.best(there)}
        assert {one.step for one in there if one.is_full} == theirs_last
        assert {one.step for one in there} == theirs_last | ours_best
        assert sorted(losses[n - 1] for n in ours_best) == sorted(losses[n - 1] for n in theirs_best)
        if len({*losses}) == len(losses):  # of equals theirs keeps now the earlier, now the later
            assert ours_best == theirs_best


# Damage


@pytest.fixture
def three(folder):
    """A folder with steps 1 to 3 in full."""
    kept = opened(folder, keep_last=3)
    for step in (1, 2, 3):
        save(kept, step, float(step))
    return folder


def truncate(path):
    (path / "state.pt").write_bytes((path / "state.pt").read_bytes()[:-1])


def flip(path):
    content = bytearray((path / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (path / "weights.safetensors").write_bytes(content)


def another_step(path):
    shutil.rmtree(path)
    shutil.copytree(path.with_name("step_00000001"), path)


DAMAGE = {
    "state.pt has": truncate,
    "weights.safetensors has changed": flip,
    "state.pt has 0 of": lambda path: (path / "state.pt").unlink(),
    "manifest.json cannot be read": lambda path: (path / "manifest.json").unlink(),
    "manifest.json is foreign or damaged": lambda path: (path / "manifest.json").write_text("[" * 100_000),
    "foreign or damaged": lambda path: (path / "manifest.json").write_text('{"step": 3, "seal": 1}'),
    "manifest.json is foreign": another_step,
}


@pytest.mark.parametrize("reason", DAMAGE)
def test_a_damaged_one_is_skipped_with_one_warning(three, capsys, reason):
    DAMAGE[reason](three / "step_00000003")
    kept = opened(three)
    assert holds(kept.newest_full(), 2)
    assert holds(kept.newest_full(), 2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{three}/step_00000003 is skipped: " in said
    assert reason in said


def test_when_all_are_damaged_none_is_found(three):
    for path in three.iterdir():
        truncate(path)
    kept = opened(three)
    assert (kept.newest_full(), kept.best()) == (None, None)


def test_the_best_that_can_be_loaded_is_the_best(three):
    flip(three / "step_00000001")
    assert opened(three).best().step == 2


def test_after_damage_the_last_sound_ones_stay(three):
    flip(three / "step_00000003")
    kept = opened(three, keep_best=0)
    assert holds(kept.newest_full(), 2)
    save(kept, 4)
    assert {one.step for one in kept.sound()} == {2, 4}
    save(kept, 5)
    assert holds(opened(three).newest_full(), 5)


def test_a_damaged_one_is_written_again_by_its_step(three):
    flip(three / "step_00000003")
    kept = opened(three)
    kept.newest_full()
    save(kept, 3)
    assert holds(kept.newest_full(), 3)
    assert holds(opened(three).newest_full(), 3)


def test_code_in_a_checkpoint_is_never_run(three, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    kept = opened(three)
    save(kept, 4)
    kept.is_tried = True
    kept.save(5, weights=weights(5), full={"x": Evil()}, metrics={})
    assert holds(opened(three).newest_full(), 4)
    assert not (tmp_path / "owned").exists()


def test_foreign_folders_are_left_alone(three):
    (three / "step_00000009").mkdir()
    (three / "step_00000009" / "notes.txt").write_text("mine")
    (three / "other").mkdir()
    kept = opened(three)
    assert holds(kept.newest_full(), 3)
    save(kept, 4)
    assert {"other", "step_00000009"} <= {*names(three)}


@given(st.data())
@settings(max_examples=60)
def test_no_changed_byte_goes_unseen(data):
    with tempfile.TemporaryDirectory() as place:
        kept = opened(Path(place))
        save(kept, 1, 1.0)
        path = data.draw(st.sampled_from(sorted(Path(place, "step_00000001").iterdir())))
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        found = opened(Path(place)).newest_full()
        assert found is None or (path.name == "manifest.json" and holds(found, 1) and found.metrics == {"loss": 1.0})


# Cut off


def test_what_a_killed_writer_left_is_finished_by_the_next(three):
    (three / ".step_00000004.writing").mkdir()
    (three / ".step_00000004.writing" / "state.pt").write_text("half")
    (three / "step_00000002").rename(three / ".step_00000002.removed")
    (three / "step_00000003").rename(three / ".step_00000003.old")
    (three / "step_00000001" / ".manifest.json.x.tmp").write_text("half")
    kept = opened(three, keep_last=3)
    assert holds(kept.newest_full(), 3)
    save(kept, 4)
    assert names(three) == ["step_00000001", "step_00000003", "step_00000004"]
    assert names(three / "step_00000001") == ["manifest.json", "state.pt", "weights.safetensors"]
    assert holds(kept.newest_full(), 4)


def only_renamed(path):
    path.rename(path.with_name("best_00000001"))


def all_but_unlinked(path):
    state = (path / "state.pt").read_bytes()
    checkpoint_folder.lighten(checkpoint_folder.look(path))
    (path.with_name("best_00000001") / "state.pt").write_bytes(state)


@pytest.mark.parametrize("demote", [only_renamed, all_but_unlinked])
def test_half_a_demotion_is_finished_by_the_next(three, demote):
    demote(three / "step_00000001")
    kept = opened(three, keep_best=1)
    assert holds(kept.newest_full(), 3)
    save(kept, 4, 4.0)
    assert names(three) == ["best_00000001", "step_00000003", "step_00000004"]
    assert names(three / "best_00000001") == ["manifest.json", "weights.safetensors"]
    assert kept.best().step == 1


def test_do_tasks_sees_only_what_can_be_gone_on_from(three):
    (three / "step_00000003").rename(three / ".step_00000003.writing")
    save(opened(three.parent / "other", keep_last=1), 9, 1.0, light=True)
    (three.parent / "other" / "best_00000009").rename(three / "best_00000009")
    found = candidates(str(three), "step_*", 0)
    assert [Path(one.path).name for one in found] == ["step_00000002", "step_00000001"]
    assert find_newest(str(three), "step_*", 0) == "step_00000002"


NURSERY = """
import os, random, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from small_lm.checkpoints import Checkpoints
torch.set_num_threads(1)

def child(folder, loss):
    kept = Checkpoints(folder, keep_last=2, keep_best=2, metric="loss")
    found = kept.newest_full()
    step = found.step if found else 0
    while True:
        step += 1
        held = {"w": torch.full((100_000,), step, dtype=torch.float32)}
        full = {"m": torch.full((200_000,), -step, dtype=torch.float32)} if step % 3 else None
        kept.save(step, weights=held, full=full, metrics={"loss": loss.random()})
        if full:
            os.write(1, b"saved %d\\n" % step)

for number, line in enumerate(sys.stdin):
    pid = os.fork()
    if not pid:
        child(Path(sys.argv[2]), random.Random(number))
    os.write(1, b"pid %d\\n" % pid)
    os.waitpid(pid, 0)
    os.write(1, b"gone 0\\n")
"""


def until(lines, word):
    """Read on to a word; return the figures of that line, and of the last that said saved."""
    newest = 0
    for line in lines:
        said, figure = line.split()
        newest = int(figure) if said == "saved" else newest
        if said == word:
            return int(figure), newest
    raise AssertionError(f"the child ended before it said {word}")


def test_killed_at_any_moment_the_newest_complete_one_is_found(folder, capsys):
    chance = random.Random(11)
    command = [sys.executable, "-c", NURSERY, str(SCRIPTS), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as nursery:
        left = set()
        for _ in range(KILLS):
            print("go", file=nursery.stdin, flush=True)
            pid, _ = until(nursery.stdout, "pid")
            _, first = until(nursery.stdout, "saved")
            with pytest.raises(subprocess.TimeoutExpired):
                nursery.wait(chance.uniform(0, 0.06))
            os.kill(pid, signal.SIGKILL)
            _, last = until(nursery.stdout, "gone")
            found = opened(folder).newest_full()
            assert found.step >= max(first, last)
            assert torch.equal(found.weights["w"], torch.full((100_000,), float(found.step)))
            assert torch.equal(found.full["m"], torch.full((200_000,), -float(found.step)))
            assert len(opened(folder).sound()) <= 6
            left |= {path.suffix for path in folder.iterdir()}
        nursery.stdin.close()
    assert capsys.readouterr().err == ""
    assert ".writing" in left  # some kills did come in the middle


# Room


def test_a_manifest_tells_step_metrics_and_digests(three):
    manifest = json.loads((three / "step_00000002" / "manifest.json").read_text())
    sizes = {name: (three / "step_00000002" / name).stat().st_size for name in ("state.pt", "weights.safetensors")}
    assert (manifest["step"], manifest["metrics"]) == (2, {"loss": "2.0"})
    assert {name: one["bytes"] for name, one in manifest["files"].items()} == sizes
    assert all(len(one["sha256"]) == 64 for one in manifest["files"].values())


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_the_defaults_save_60_percent_of_what_keeping_all_would_take(tmp_path, name):
    keep, count = Keep(), Run().steps // Keep().every
    model = Llama(preset("tiny", vocab_size=2048, context=64))
    optimiser = optimizer.build(model, Optimiser(name=name))
    model(torch.zeros(1, 4, dtype=torch.long)).sum().backward()
    optimiser.step()
    sizes, shelves = [], {"all": (1000, 0), "some": (keep.last, keep.best)}
    for shelf, (last, best) in shelves.items():
        kept = opened(tmp_path / shelf / "c", keep_last=last, keep_best=best)
        for step in range(1, count + 1):
            state = {"optimisers": optimiser.state(), "chance": torch.get_rng_state()}
            kept.save(step, weights=model.state_dict(), full=state, metrics={"loss": float(step)})
        sizes.append(sum(path.stat().st_size for path in (tmp_path / shelf).rglob("*") if path.is_file()))
    share = 1 - sizes[1] / sizes[0]
    assert share >= 0.6
    assert kept.measured().saved_share == pytest.approx(share, abs=0.03)
    per_save = sizes[0] // count
    projected = kept.projection(sum(one.nbytes for one in model.state_dict().values()), per_save, count)
    assert projected.saved_share == pytest.approx(share, abs=0.03)


def test_the_projection_is_one_line(folder):
    projected = opened(folder, keep_best=3).projection(21_100_000, 63_400_000, 20)
    assert (projected.keep_all, projected.kept) == (1_268_000_000, 190_100_000)
    assert projected.peak == projected.kept + 63_400_000
    assert str(projected).startswith("checkpoints take 190 MB (85% saved: all would be 1.27 GB), 254 MB while one is")
    assert "too little room" in str(opened(folder).projection(1, 10**15, 3))


def test_no_saves_take_nothing(folder):
    projected = opened(folder).projection(1, 3, 0)
    assert (projected.kept, projected.saved_share) == (0, 0.0)
