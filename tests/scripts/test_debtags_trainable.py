"""The encoder's training: it learns, goes on to the last bit, refuses what is wrong; the baseline beside it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from classification import features, table  # noqa: E402  # they need torch
from classification.model import Encoder, positive_weights  # noqa: E402
from classification.pinned import pinned  # noqa: E402
from classification.settings import Settings, read  # noqa: E402
from classification.splits import TEST, VALIDATION, split  # noqa: E402
from classification.trainable import Trainable  # noqa: E402
from small_lm.errors import Trouble  # noqa: E402

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SMALL = {"hidden": 32, "buckets": 2048, "batch": 32, "epochs": 4, "warmup": 5, "ngrams": 3}
NEEDS = "scikit-learn is not installed: pip install -c constraints.txt -r requirements/training.txt"


def training(seed=3, **config):
    return Trainable({**SMALL, **config}, seed=seed)


def trained(epochs, **config):
    made = training(**config)
    figures = [made.train_epoch() for _ in range(epochs)]
    return made, figures


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def through_a_file(state):
    """Return a state as a checkpoint gives it back: tensors and plain values alone."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# Training


def test_the_encoder_learns_the_sample():
    made = training(epochs=8, learning_rate=1e-2)
    before = made.validate()["macro_pr_auc"]
    first = made.train_epoch()
    for _ in range(7):
        last = made.train_epoch()
    assert (made.epoch, made.epochs) == (8, 8)
    assert last["label_loss"] < first["label_loss"]
    assert made.validate()["macro_pr_auc"] > 1.5 * before


@pytest.mark.parametrize("done", [0, 1, 3])
def test_going_on_from_a_state_is_equal_to_the_last_bit(done):
    whole, figures = trained(4)
    half, _ = trained(done)
    state = through_a_file(half.state())
    half.train_epoch()  # what happens after is no part of the state
    torch.manual_seed(99)
    again = training()
    again.load_state(state)
    assert again.epoch == done
    assert [again.train_epoch() for _ in range(4 - done)] == figures[done:]
    assert equal(again.weights(), whole.weights())
    assert again.validate() == whole.validate()
    assert again.test_metrics(again.thresholds()) == whole.test_metrics(whole.thresholds())


def test_a_state_goes_on_in_another_process_with_the_same_bits(tmp_path):
    whole, _ = trained(2)
    half, _ = trained(1)
    torch.save(half.state(), tmp_path / "state.pt")
    code = (
        f"import sys, torch; sys.path.insert(0, {str(SCRIPTS)!r}); from classification.trainable import Trainable\n"
        f"made = Trainable({SMALL!r}, seed=3); made.load_state(torch.load('state.pt', weights_only=True))\n"
        "made.train_epoch(); torch.save(made.weights(), 'weights.pt')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=300)
    assert equal(torch.load(tmp_path / "weights.pt", weights_only=True), whole.weights())


def test_trainings_that_take_turns_do_not_change_each_other_nor_the_random_state_outside():
    alone, _ = trained(2)
    before = torch.get_rng_state()
    one, other = training(), training(seed=4)
    for _ in range(2):
        one.train_epoch()
        other.train_epoch()
    assert torch.equal(torch.get_rng_state(), before)
    assert equal(one.weights(), alone.weights())
    assert not equal(one.weights(), other.weights())


def test_an_evaluation_changes_nothing_of_the_training():
    plain, _ = trained(2)
    made = training()
    for _ in range(2):
        made.train_epoch()
        made.validate()
        made.test_metrics(made.thresholds())
    assert equal(made.weights(), plain.weights())


def test_the_best_weights_alone_give_the_scores_again():
    made, _ = trained(2)
    weights, scores = through_a_file(made.weights()), made.test_metrics(made.thresholds())
    fresh = training()
    fresh.load_weights(weights)
    assert fresh.test_metrics(fresh.thresholds()) == scores
    assert fresh.digests() == {"data": pinned().sample_sha256}


def test_thresholds_are_of_the_validation_rows_alone(tmp_path):
    rows = table.opened("sample").rows
    changed = {row.package for row in split(rows)[TEST]}
    lines = [
        json.dumps({**vars(row), "labels": [] if row.package in changed else list(row.labels)}) + "\n" for row in rows
    ]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    one, other = training(), training(data=str(tmp_path / "a.jsonl"))
    other.load_weights(one.weights())
    assert one.thresholds() == other.thresholds()
    assert other.test_metrics(other.thresholds())["macro_pr_auc"] == 0.0  # no label occurs among the test rows


def test_the_scores_of_the_test_rows_are_complete_and_json():
    made, _ = trained(1)
    thresholds = made.thresholds()
    found = made.test_metrics(thresholds)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert tuple(thresholds) == tuple(found["per_label"]) == tuple(found["confusion_matrices"]) == pinned().labels
    assert all(sum(matrix.values()) == found["rows"] == 90 for matrix in found["confusion_matrices"].values())
    assert sum(map(sum, found["section"]["confusion_matrix"])) == 90
    assert {"accuracy", "macro_f1", "micro_f1", "macro_pr_auc", "micro_pr_auc", "calibration"} <= set(found)


# Imbalance


def test_a_rare_label_counts_more_and_its_probability_is_not_raised_by_it():
    truth = torch.tensor([[1.0, 1.0, 0.0, 1.0]] + [[0.0, 1.0, 0.0, 0.0]] * 4 + [[0.0, 0.0, 0.0, 1.0]] * 4)
    weights = positive_weights(truth, 1.0)
    assert weights.tolist() == [8.0, pytest.approx(4 / 5), 1.0, pytest.approx(4 / 5)]
    assert positive_weights(truth, 0.0).tolist() == [1.0] * 4
    model = Encoder(read({"hidden": 4, "buckets": 64}), torch.ones(64), weights, 3).eval()
    ids = torch.tensor([[1, 2, 0]])
    odds = model.probabilities(ids)[0].logit()
    assert torch.allclose(odds, (model(ids)[0] - weights.log()).double(), atol=1e-5)


def test_padding_changes_no_logit():
    rarity = torch.cat([torch.zeros(1), torch.ones(63)])
    model = Encoder(read({"hidden": 8, "buckets": 64}), rarity, torch.ones(2), 3).eval()
    short, long = model(torch.tensor([[5, 9]])), model(torch.tensor([[5, 9, 0, 0, 0]]))
    assert all(torch.allclose(*pair) for pair in zip(short, long, strict=True))


def test_features_are_words_shared_with_the_name_and_ngrams():
    row = table.Row("libfoo-perl", "Foo for Perl", "perl", ())
    found = set(features.names(row, 3))
    assert {"name perl", "word perl", "word foo", "in name ^li", "in word <pe"} <= found
    assert not any(name.startswith("in ") for name in features.names(row, 0))
    assert 0 not in features.ids_of(row, 64, 5)


# Wrong input


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"hiden": 3}, "config: no setting 'hiden'; did you mean hidden?"),
        ({"lr": 1e-3}, "config: no setting 'lr'"),
        ({"hidden": "many"}, "config: hidden must be a whole number, got 'many'"),
        ({"hidden": 0}, "config: hidden must be 1 or more, got 0"),
        ({"dropout": 1.0}, "config: dropout must be 0 or more and below 1, got 1.0"),
        ({"learning_rate": 0}, "config: learning_rate must be a number above 0, got 0.0"),
        ({"learning_rate": float("inf")}, "config: learning_rate must be a number above 0, got inf"),
        ({"ngrams": 2}, "config: ngrams must be 0, or from 3 to 8, got 2"),
        ({"data": "aptt"}, "data=aptt: no such file; did you mean apt?"),
    ],
)
def test_a_wrong_config_is_told(config, said):
    with pytest.raises(Trouble) as trouble:
        Trainable(config, seed=1)
    assert str(trouble.value).startswith(said)


def test_every_setting_has_a_default_that_is_allowed():
    assert read({}) == Settings()


def test_a_state_of_another_training_is_refused():
    made = training()
    state = made.state()
    for other, said in (
        (training(seed=4), "seed is 3 there, 4 here"),
        (training(hidden=16), "hidden is 32 there, 16 here"),
    ):
        with pytest.raises(Trouble, match=said):
            other.load_state(state)
    with pytest.raises(Trouble, match="no state of a training"):
        made.load_state({"weights": {}})
    with pytest.raises(Trouble, match="these weights are of another model"):
        training(hidden=16).load_weights(made.weights())
    with pytest.raises(Trouble, match="no threshold for field::biology"):
        made.test_metrics({})


def test_a_table_without_validation_rows_is_told(tmp_path):
    rows = [row for row in table.opened("sample").rows if row not in split(table.opened("sample").rows)[VALIDATION]]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(vars(row)) + "\n" for row in rows))
    with pytest.raises(Trouble, match=r"a\.jsonl: 410 rows leave none for validation: add rows"):
        training(data=str(tmp_path / "a.jsonl"))


# Beside the baseline


def test_the_comparison_prints_and_writes_the_scores_of_each(tmp_path):
    pytest.importorskip("sklearn", reason=NEEDS)
    words = ["compare", "data=sample", *(f"{name}={value}" for name, value in SMALL.items()), "--write", "a.json"]
    command = [sys.executable, "-W", "error", str(SCRIPTS / "classify.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "a.json").read_text())["scores"]
    assert [name.split(",")[0] for name in found] == ["TF-IDF", "TF-IDF", "encoder"]
    assert all(0.1 < scores["macro_pr_auc"] < 1 for scores in found.values())
    assert done.stdout.count("epoch ") == 4
