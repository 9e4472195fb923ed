"""A training that is stopped goes on as if nothing had happened; what it leaves; what it is told."""

from __future__ import annotations

import copy
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from common import files  # noqa: E402  # those below need torch
from small_lm import data, device, hf_format, metrics_log, optimizer, settings  # noqa: E402
from small_lm.checkpoints import Checkpoints  # noqa: E402
from small_lm.errors import Trouble  # noqa: E402
from small_lm.evaluate import evaluate  # noqa: E402
from small_lm.model import Llama, loss_of, preset  # noqa: E402
from small_lm.train import Term, put_aside, train  # noqa: E402
from small_lm.train_state import Training  # noqa: E402

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
RULE = {"keep_last": 2, "keep_best": 3, "metric": "val_loss"}
STEPS = 12
SMALL = (
    "text.files=play.txt",
    "tokenizer.kind=char",
    "model.preset=tiny",
    "model.context=64",
    f"run.steps={STEPS}",
    "run.batch_tokens=64",
    "run.length=16",
    "run.long_length=32",
    "run.long_from=0.6",
    "run.threads=1",
    "run.log_every=4",
    "optimiser.warmup=3",
    "optimiser.accumulate=2",
    "judge.every=5",
    "judge.batches=2",
    "keep.every=4",
    "sample.every=6",
    "sample.max_length=5",
)
COPIES = ("model.init=induction", "copy.until_loss=100", "copy.share=0.3")


@dataclass
class Shelf:
    """Keeps checkpoints as the bytes that a file would hold."""

    full: list[bytes] = field(default_factory=list)
    light: list[dict] = field(default_factory=list)

    def save(self, step, *, weights, full, metrics):
        if full is not None:
            held = io.BytesIO()
            torch.save({"step": step, "weights": weights, "full": full}, held)
            self.full.append(held.getvalue())
        if metrics:
            self.light.append({"step": step, "weights": copy.deepcopy(weights), **metrics})

    def newest_full(self):
        if not self.full:
            return None
        held = torch.load(io.BytesIO(self.full[-1]), weights_only=True)
        return Found(held["step"], held["weights"], held["full"])

    def best(self):
        held = min(self.light, key=lambda one: one["val_loss"], default=None)
        return held and Found(held["step"], held["weights"], None)

    def projection(self, *_):
        return "nothing on the disk"

    def measured(self):
        return "nothing on the disk"


@dataclass
class Found:
    step: int
    weights: dict
    full: dict | None


class TermAt(Term):
    """Asks to end once so many rows of steps were written."""

    def __init__(self, path, rows):
        self.path, self.rows = path, rows

    @property
    def code(self):
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return 143 if sum("lr" in json.loads(line) for line in lines) >= self.rows else 0


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.delenv("DO_TASKS_RESUME", raising=False)
    monkeypatch.delenv("DO_TASKS_RESULT", raising=False)


@pytest.fixture
def begin(tmp_path):
    """Train a tiny model by settings; give exit code, shelf and folder."""
    text = "".join(f"Say {n * n % 97} and {n % 7}, good Ben; the barrel knows it.\n" for n in range(60))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "play.txt").write_text(text)

    def begun(*overrides, name="run", shelf=None, rows=10**6):
        shelf = shelf or Shelf()
        chosen = settings.load("", [f"data={tmp_path}/data", f"outputs={tmp_path}/{name}", *SMALL, *overrides], {})
        corpus = data.prepare(chosen, tmp_path / name / "tokenizer")
        term = TermAt(tmp_path / name / "training_logs" / "metrics.jsonl", rows)
        return train(chosen, corpus, shelf, term), shelf, tmp_path / name

    return begun


def figures(folder):
    """Every row of the metrics without the speed."""
    rows = files.read_jsonl(folder / "training_logs" / "metrics.jsonl")
    return [{name: value for name, value in row.items() if name != "tokens_per_s"} for row in rows]


# Going on


DROPS = ("model.dropout=0.3", "judge.every=2", "sample.every=2", "optimiser.accumulate=1")


@pytest.mark.parametrize("extra", [(), ("optimiser.name=adamw", "optimiser.schedule=flat"), COPIES, DROPS], ids=len)
def test_a_training_stopped_after_any_step_goes_on_bit_for_bit(begin, extra):
    code, whole_shelf, whole = begin(*extra, name="whole")
    assert code == 0
    last = whole_shelf.newest_full()
    for rows in range(1, STEPS):
        name = f"cut_{rows}"
        code, shelf, _ = begin(*extra, name=name, rows=rows)
        assert code == 143
        code, shelf, cut = begin(*extra, "resume=always", name=name, shelf=shelf)
        assert code == 0
        assert figures(cut) == figures(whole)
        assert all(torch.equal(shelf.newest_full().weights[key], value) for key, value in last.weights.items())


def test_a_training_killed_between_checkpoints_repeats_its_steps_bit_for_bit(begin):
    _, _, whole = begin(name="whole")
    _, shelf, cut = begin(name="cut", rows=7)
    shelf.full.pop()  # what it saved on leaving; step 4 is the newest now
    code, _, _ = begin("resume=always", name="cut", shelf=shelf)
    assert code == 0
    assert figures(cut) == figures(whole)
    assert len((cut / "training_logs" / "loss.txt").read_text().splitlines()) == STEPS


def test_do_tasks_asks_to_go_on(begin, monkeypatch, capsys):
    _, shelf, _ = begin(rows=4)
    monkeypatch.setenv("DO_TASKS_RESUME", "checkpoints/step_4")
    begin(shelf=shelf)
    assert "going on after step 4" in capsys.readouterr().out


def test_a_checkpoint_of_another_model_is_refused(begin):
    _, shelf, _ = begin(rows=4)
    with pytest.raises(
        Trouble, match=r"has seed=17, model.context=64, these settings have seed=3, model.context=48: set them"
    ):
        begin("seed=3", "model.context=48", "resume=always", shelf=shelf)


def test_an_earlier_run_is_put_aside(tmp_path):
    for _ in range(2):
        (tmp_path / "run" / "training_logs").mkdir(parents=True)
        put_aside(tmp_path / "run")
    assert {path.name for path in tmp_path.iterdir()} == {"run.1", "run.2"}


# As a process, with real checkpoints


def command(made_up, *overrides):
    (made_up.folder / "data").mkdir(exist_ok=True)
    chosen = (*SMALL, "text.files=../plays/*.txt", "run.steps=60", *overrides)
    return [sys.executable, "-W", "error", str(SCRIPTS / "train_lm.py"), *chosen]


def cut_short(made_up):
    """Kill a training behind its tenth step, and tell whether it had not ended by itself before."""
    shutil.rmtree(made_up.folder / "cut", ignore_errors=True)
    log = made_up.folder / "cut" / "training_logs" / "loss.txt"
    process = subprocess.Popen(command(made_up, "outputs=cut"), cwd=made_up.folder)
    while process.poll() is None and not (log.exists() and len(log.read_text().splitlines()) > 10):
        time.sleep(0.01)
    process.kill()
    return process.wait() == -signal.SIGKILL


def test_a_killed_process_goes_on_bit_for_bit(made_up):
    assert subprocess.run(command(made_up, "outputs=whole"), cwd=made_up.folder, check=False).returncode == 0
    assert any(cut_short(made_up) for _ in range(10)), "it always ended before it could be killed"
    goes_on = {**os.environ, "DO_TASKS_RESUME": "cut/checkpoints/step_8"}
    done = subprocess.run(
        command(made_up, "outputs=cut"), cwd=made_up.folder, env=goes_on, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "going on after step" in done.stdout
    assert figures(made_up.folder / "cut") == figures(made_up.folder / "whole")


def test_a_process_told_to_end_saves_where_it_is(made_up):
    process = subprocess.Popen(command(made_up, "run.steps=100000"), cwd=made_up.folder, stdout=subprocess.PIPE)
    next(line for line in process.stdout if b"progress" in line)
    process.terminate()
    process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM
    last = figures(made_up.folder / "outputs" / "lm")[-1]["step"]
    assert Checkpoints(made_up.folder / "outputs" / "lm" / "checkpoints", **RULE).newest_full().step == last


def test_the_script_tells_do_tasks_what_came_out(made_up):
    (made_up.folder / "data").mkdir()
    done = made_up.run("train_lm.py", "--test", "text.files=../plays/*.txt")
    assert done.code == 0, done.err
    assert done.result["metrics"]["steps"] == 4
    assert "outputs/lm/test/model/config.json" in made_up.files()


def test_the_script_says_in_one_line_what_is_wrong(project):
    done = project.run("train_lm.py", "run.stps=3")
    assert (done.code, done.err) == (2, "error: run.stps=3: no setting 'run.stps'; did you mean run.steps?\n")


# What it leaves


def test_every_step_and_judgement_has_a_row(begin):
    _, _, folder = begin()
    rows = files.read_jsonl(folder / "training_logs" / "metrics.jsonl")
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [*range(1, STEPS + 1)]
    assert all(set(row) == {"step", "loss", "lr", "grad_norm", "tokens_per_s"} for row in steps)
    judged = [row for row in rows if "val_loss" in row]
    assert [row["step"] for row in judged] == [5, 10, 12]
    assert judged[0]["val_perplexity"] == pytest.approx(math.exp(judged[0]["val_loss"]))
    assert 0 <= judged[0]["val_accuracy"] <= 1


def test_the_losses_are_a_text_too(begin):
    _, _, folder = begin()
    lines = (folder / "training_logs" / "loss.txt").read_text().splitlines()
    assert [line.split()[:3:2] for line in lines] == [["step", "loss"]] * STEPS
    assert [f"{row['loss']:.6f}" for row in figures(folder) if "loss" in row] == [line.split()[3] for line in lines]


def test_steps_that_copy_are_told_apart(begin):
    _, _, folder = begin(*COPIES, "copy.until_share=1")
    rows = figures(folder)
    assert sum("copy_loss" in row for row in rows) >= 2
    assert sum("loss" in row or "copy_loss" in row for row in rows) == STEPS + 1  # and the step that warmed up


def test_a_copy_warm_up_is_not_judged(begin):
    _, _, folder = begin("model.init=induction", "copy.until_loss=0.001", "judge.every=2", rows=7)
    assert [set(row) & {"copy_loss", "val_loss"} for row in figures(folder)] == [{"copy_loss"}] * 7


def test_progress_is_told_on_stdout(begin, capsys):
    begin()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["progress"]["done"] for line in lines] == [4, 8, 12]
    assert lines[-1]["progress"]["total"] == STEPS


def test_the_manifest_names_what_would_make_the_model_again(begin):
    _, _, folder = begin()
    told = files.read_json(folder / "manifest.json")
    text = next(iter(told["inputs"]))
    assert told["inputs"][text] == files.sha256(folder.parent / "data" / "play.txt")
    assert told["settings"]["seed"] == 17
    assert told["versions"]["torch"] == torch.__version__
    assert {"tokens", "machine", "revision", "seeds", "model"} <= set(told)


def test_samples_are_written(begin):
    _, _, folder = begin("sample.prompts=['Say ','']")
    rows = files.read_jsonl(folder / "training_logs" / "samples.jsonl")
    assert [(row["step"], row["prompt"]) for row in rows] == [(6, "Say "), (6, ""), (12, "Say "), (12, "")]


def test_tensorboard_has_the_figures(begin):
    pytest.importorskip("tensorboardX")
    _, _, folder = begin()
    assert list((folder / "training_logs" / "tensorboard").glob("events.*"))


def test_the_model_that_is_left_has_the_best_weights(begin):
    wild = ("optimiser.lr=0.5", "optimiser.adamw_lr=0.5", "optimiser.schedule=flat", "optimiser.decay_from=1")
    _, shelf, folder = begin(*wild, "optimiser.warmup=12", "judge.every=1")  # a rate that rises makes it worse
    best = shelf.best()
    assert best.step < STEPS
    model, _ = hf_format.load(folder / "model")
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in best.weights.items())


# When it ends


def test_a_training_that_no_longer_gets_better_ends_early(begin):
    _, _, folder = begin("judge.every=2", "judge.patience=2", "judge.min_gain=50", "run.steps=40")
    assert figures(folder)[-1]["step"] == 6  # better at 2, no better at 4 and 6


def test_a_training_that_goes_on_remembers_its_best(begin):
    early = ("judge.every=2", "judge.patience=2", "judge.min_gain=50", "run.steps=40")
    _, shelf, _ = begin(*early, rows=3)
    _, _, folder = begin(*early, "resume=always", shelf=shelf)
    assert figures(folder)[-1]["step"] == 6


def test_a_loss_that_is_no_number_is_trouble_before_it_is_saved(begin, tmp_path):
    shelf = Shelf()
    with pytest.raises(Trouble, match=r"is not finite: lower optimiser.lr"):
        begin("optimiser.lr=1e30", "optimiser.adamw_lr=1e30", "optimiser.clip=0", shelf=shelf)
    assert not shelf.full
    last = figures(tmp_path / "run")[-1]  # which of the two breaks first depends on the processor
    assert not math.isfinite(last["loss"]) or not math.isfinite(last["grad_norm"])


def test_a_copy_warm_up_that_never_warms_is_trouble(begin):
    with pytest.raises(Trouble, match=r"after 3 steps: raise copy.max_steps"):
        begin("model.init=induction", "copy.until_loss=0.1", "copy.max_steps=3")


def test_dropout_changes_what_is_learned_and_not_how_it_is_judged(begin):
    _, _, folder = begin("model.dropout=0.5")
    losses = [[row["loss"] for row in figures(one) if "loss" in row] for one in (folder, begin(name="plain")[2])]
    assert losses[0] != losses[1]
    model, _ = hf_format.load(folder / "model")
    tokens = torch.arange(4, 20)[None]
    assert torch.equal(model.eval()(tokens), model.train()(tokens))  # what is left has none


def test_float16_scales_the_gradient_and_goes_on_bit_for_bit(begin, tmp_path):
    chosen = settings.load("", [f"data={tmp_path}/data", *SMALL], {})
    here = device.Machine("cpu", "float16", 1)  # emulated where the processor lacks it
    whole = Training(chosen, data.prepare(chosen, tmp_path / "tokenizer"), here)
    rows = [whole.advance() for _ in range(4)]
    held = io.BytesIO()
    torch.save({"weights": whole.model.state_dict(), "full": whole.state()}, held)
    held.seek(0)
    kept = torch.load(held, weights_only=True)
    after = [whole.advance() for _ in range(4)]
    other = Training(chosen, data.prepare(chosen, tmp_path / "tokenizer"), here)
    other.load(Found(4, kept["weights"], kept["full"]))
    again = [other.advance() for _ in range(4)]
    assert [row["loss"] for row in again] == [row["loss"] for row in after]
    assert after[-1]["loss"] < rows[0]["loss"]
    assert all("grad_norm" in row or row["skipped"] for row in rows)
    assert whole.state()["scaler"]["scale"] > 1


def test_a_gradient_of_float16_that_is_not_finite_changes_no_weight(begin, tmp_path):
    chosen = settings.load("", [f"data={tmp_path}/data", *SMALL], {})
    training = Training(chosen, data.prepare(chosen, tmp_path / "tokenizer"), device.Machine("cpu", "float16", 1))
    training.advance()
    before = [weight.clone() for weight in training.model.parameters()]
    training.optimisers.scaler._scale.fill_(1e38)
    row = training.advance()
    assert row["skipped"] == 1
    assert "grad_norm" not in row
    assert all(torch.equal(old, new) for old, new in zip(before, training.model.parameters(), strict=True))


@pytest.mark.deep
@pytest.mark.filterwarnings("default")  # torch's compiler warns of its own parts
def test_a_compiled_training_is_the_same_but_for_rounding(begin):
    if not any(map(shutil.which, device.COMPILERS)):
        pytest.skip("no C++ compiler")
    plain, compiled = (
        begin(*extra, "run.precision=float32", name=name)[2]
        for name, extra in (("plain", ()), ("compiled", ("run.compile=true",)))
    )
    for ours, theirs in zip(figures(plain), figures(compiled), strict=True):
        assert ours.get("loss", 0) == pytest.approx(theirs.get("loss", 0), rel=1e-3)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (settings.Run(compile=True, device="cpu"), r"needs a C\+\+ compiler: install g\+\+, or leave it out"),
        (settings.Run(device="mps"), "run.device=mps is not here: use cpu"),
    ],
)
def test_what_this_machine_lacks_is_refused_in_words(monkeypatch, wanted, said):
    monkeypatch.setenv("CXX", "no-such-compiler")
    if wanted.device == "mps" and torch.backends.mps.is_available():
        pytest.skip("it is here")
    with pytest.raises(Trouble, match=said):
        device.choose(wanted)


def test_float16_is_refused_where_the_processor_lacks_it():
    if device.is_native(torch.cpu.get_capabilities(), device.NATIVE_HALF):
        pytest.skip("this processor has it")
    with pytest.raises(Trouble, match="this processor does not multiply it: use float32 or bfloat16"):
        device.choose(settings.Run(precision="fp16", device="cpu"))


@pytest.mark.live
@pytest.mark.parametrize("name", ["cuda", "mps"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_training_runs_on_an_accelerator(begin, name, precision):
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[name]:
        pytest.skip(f"no {name}")
    code, shelf, _ = begin(f"run.device={name}", f"run.precision={precision}", rows=6)
    assert code == 143
    assert begin(f"run.device={name}", f"run.precision={precision}", "resume=always", shelf=shelf)[0] == 0


def test_it_learns(begin):
    _, _, folder = begin("run.steps=150", "judge.every=150", "run.batch_tokens=256", "optimiser.lr=1e-2")
    losses = [row["loss"] for row in figures(folder) if "loss" in row]
    assert losses[-1] < losses[0] - 1.5


# Its parts


@pytest.fixture
def windows():
    return data.Windows(torch.arange(103), seed=1)


def test_an_epoch_shows_each_window_once_in_an_order_of_its_own(windows):
    shown = []
    for epoch in (0, 1):
        windows.begin(epoch, 10)
        shown.append(windows.next(len(windows.starts), 10)[0])
    first, second = (rows[rows[:, 0].argsort()].flatten() for rows in shown)
    assert all(set(row.diff().tolist()) == {1} for row in (first, second))
    assert len(first) >= 90
    assert shown[0][:9, 0].tolist() != shown[1][:9, 0].tolist()


def test_targets_are_one_token_on(windows):
    inputs, targets = windows.next(4, 8)
    assert torch.equal(targets, inputs + 1)


@pytest.mark.parametrize("taken", range(1, 25))
def test_windows_go_on_from_any_place(windows, taken):
    windows.next(taken, 10)
    other = data.Windows(windows.tokens, seed=1)
    other.load(json.loads(json.dumps(windows.state())))
    for length in (10, 10, 20):
        assert torch.equal(windows.next(3, length)[0], other.next(3, length)[0])


def test_too_little_text_is_trouble(windows):
    with pytest.raises(Trouble, match="103 tokens are too few for windows of 60"):
        windows.next(1, 60)


def test_held_out_text_is_judged_in_order_and_once(windows):
    batches = list(data.in_order(windows.tokens, size=4, length=10, batches=10))
    assert torch.equal(torch.cat([inputs for inputs, _ in batches]).flatten(), torch.arange(100))


def test_a_model_that_knows_nothing_is_as_unsure_as_the_vocabulary_is_large():
    model = Llama(preset("tiny", vocab_size=50, context=32))
    model.model.embed_tokens.weight.data.zero_()
    pair = (torch.randint(50, (2, 16)), torch.randint(1, 50, (2, 16)))
    scores = evaluate(model, [pair], device.Machine("cpu", "float32", 1))
    assert scores.perplexity == pytest.approx(50)
    assert (scores.accuracy, scores.tokens) == (0, 32)


def test_the_rate_rises_then_falls():
    wanted = settings.Optimiser(warmup=10, min_share=0.1)
    rates = [optimizer.share(step, 110, wanted) for step in range(110)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert rates[10] == 1
    assert rates[60] == pytest.approx(0.55)
    assert sorted(rates[10:], reverse=True) == rates[10:]
    assert optimizer.share(110, 110, wanted) == pytest.approx(0.1)


def test_a_flat_rate_falls_late_in_a_line():
    wanted = settings.Optimiser(schedule="flat", warmup=0, decay_from=0.5, min_share=0.0)
    assert [optimizer.share(step, 100, wanted) for step in (0, 50, 75, 100)] == pytest.approx([1, 1, 0.5, 0])


def test_a_share_of_nothing_moves_nothing():
    torch.manual_seed(0)
    model = Llama(preset("tiny", vocab_size=50, context=32))
    before = [weight.clone() for weight in model.parameters()]
    both = optimizer.build(model, settings.Optimiser())
    for share, moves in ((0.0, False), (1.0, True)):
        both.set_share(share)
        loss_of(model, torch.arange(20)[None], torch.arange(1, 21)[None]).backward()
        both.step()
        assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)) is moves


def test_a_gradient_of_parts_is_that_of_the_whole(begin, tmp_path):
    def gradient(batch_tokens, accumulate):
        chosen = settings.load("", [f"data={tmp_path}/data", *SMALL, f"run.batch_tokens={batch_tokens}"], {})
        chosen = replace(chosen, optimiser=replace(chosen.optimiser, accumulate=accumulate))
        corpus = data.prepare(chosen, tmp_path / "tokenizer")
        return Training(chosen, corpus, device.Machine("cpu", "float32", 1)).advance()

    whole, parts = gradient(128, 1), gradient(32, 4)
    assert whole["loss"] == pytest.approx(parts["loss"], rel=1e-5)
    assert whole["grad_norm"] == pytest.approx(parts["grad_norm"], rel=1e-4)


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_every_weight_moves(begin, name):
    _, shelf, folder = begin(f"optimiser.name={name}")
    torch.manual_seed(17)
    fresh = Llama(preset("tiny", vocab_size=hf_format.load(folder / "model")[0].shape.vocab_size, context=64))
    moved = shelf.newest_full().weights
    assert not [name for name, old in fresh.state_dict().items() if torch.equal(moved[name], old)]


def test_muon_moves_weights_as_the_one_of_torch_does():
    torch.manual_seed(3)
    shapes = [(16, 16), (16, 16), (44, 16), (16, 44)]
    theirs = [torch.randn(shape).requires_grad_() for shape in shapes]
    ours = [weight.detach().clone().requires_grad_() for weight in theirs]
    both = (
        (theirs, torch.optim.Muon(theirs, lr=6e-3, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")),
        (ours, optimizer.Muon(ours, lr=6e-3, weight_decay=0.1)),
    )
    for _ in range(3):
        gradients = [torch.randn(shape) for shape in shapes]
        for weights, optimiser in both:
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient.clone()
            optimiser.step()
    for ours_now, theirs_now in zip(ours, theirs, strict=True):
        assert torch.allclose(ours_now, theirs_now, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("found", "wanted"), [({"avx512_bf16": True}, True), ({"bf16": True}, True), ({}, False)])
def test_bfloat16_is_used_where_the_processor_has_it(found, wanted):
    assert device.is_native({"avx2": True, "avx512_bf16": False, **found}) is wanted


def test_a_precision_can_be_forced():
    chosen = device.choose(settings.Run(precision="float32", threads=1, device="cpu"))
    assert chosen == device.Machine("cpu", "float32", 1)


def test_a_line_that_was_half_written_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    metrics_log.rewind(path, 2, metrics_log.json_step)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


# Settings


def test_a_later_layer_wins(tmp_path):
    profile = tmp_path / "mine.yaml"
    profile.write_text("seed: 2\ndata: from-profile\nrun: {steps: 5}\n")
    environ = {"DO_TASKS_DATA": "from-environment"}
    assert settings.load(str(profile), [], {}).data == "from-profile"
    chosen = settings.load(str(profile), ["seed=3"], environ)
    assert (chosen.seed, chosen.data, chosen.run.steps, chosen.run.length) == (3, "from-environment", 5, 256)
    assert settings.load(str(profile), ["data=from-line"], environ).data == "from-line"


def test_a_glob_can_be_given_as_it_is():
    assert settings.load("", ["text.files=*.txt"], {}).text.files == ("*.txt",)


@pytest.mark.parametrize("name", ["", "local", "gpu"])
def test_the_shipped_profiles_load(name):
    assert settings.load(name, [], {}).model.preset in {"1m", "30m"}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("run.stps=5", "did you mean run.steps?"),
        ("optimizer.lr=1", "did you mean optimiser.lr?"),
        ("run.steps=many", "run.steps must be a whole number"),
        ("run.steps=0", "run.steps must be 1 or more"),
        ("run.batch_tokens=100", "run.batch_tokens must be 256 or more"),
        ("model.context=128", "model.context must be 256 or more"),
        ("resume=maybe", "resume must be auto, always or never"),
    ],
)
def test_a_wrong_setting_is_named_with_its_cure(override, said):
    with pytest.raises(Trouble) as trouble:
        settings.load("", [override], {})
    assert said in str(trouble.value)
    assert trouble.value.exit_code == 2
