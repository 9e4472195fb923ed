"""What benchmarks/kills.py finds in a project that was killed."""

from __future__ import annotations

import json

import pytest

from benchmarks import kills


def write(folder, name, rows):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def answers(first, last):
    return [{"row": row, "tokens": [row % 7, 1]} for row in range(first, last)]


def whole(folder):
    """Make a project in which everything was done once."""
    folder.mkdir()
    (folder / "SPEC.md").write_text(
        "- [x] **STEP 1**: One ✓ [task_id: task_1_0000000a] [2026-01-01 00:00] (1 proven)\n"
    )
    (folder / ".task_execution.log").write_text('{"task_id": "task_1_0000000a"}\n')
    for number, (first, last) in enumerate(((0, 100), (100, 1000), (1000, 5000)), 1):
        write(folder, f"outputs/teacher_data_{number}.jsonl", answers(first, last))
    steps = [{"seed": seed, "batch": batch, "loss": 3.0 - batch / 10} for seed in (17, 18) for batch in range(4)]
    write(folder, "training_logs/metrics.jsonl", steps)
    write(folder, "checkpoints/seed_17/checkpoints.jsonl", [{"seed": 17, "batch": 2}])
    return folder


@pytest.fixture
def pair(tmp_path):
    return whole(tmp_path / "killed"), whole(tmp_path / "other")


def problems(pair):
    return list(kills.judged(*pair))


def test_nothing_is_found_where_nothing_is_wrong(pair):
    assert problems(pair) == []


def change(name, old, new):
    def changed(folder):
        path = folder / name
        path.write_text(path.read_text().replace(old, new, 1))

    return changed


ROWS, METRICS = "outputs/teacher_data_2.jsonl", "training_logs/metrics.jsonl"
STEP = '{"seed": 17, "batch": 3, "loss": 2.7}\n'


def all_other(folder):
    write(folder, ROWS, [{**row, "tokens": [9]} for row in answers(100, 1000)])


@pytest.mark.parametrize(
    ("injure", "said"),
    [
        (change("SPEC.md", "[x]", "[ ]"), ["0 of 1 boxes are ticked"]),
        (change(".task_execution.log", "task_1_0000000a", ""), ["step 1: task_1_0000000a is not in the log"]),
        (
            change(ROWS, '{"row": 500, "tokens": [3, 1]}\n', ""),
            ["4999 rows, 4999 of them different", "answers are other"],
        ),
        (change(ROWS, '{"row": 500,', '{"row": 499,'), ["5000 rows, 4999 of them different"]),
        (all_other, ["900 of 5000 answers are other ones"]),
        (change(METRICS, STEP, STEP * 2), ["1 steps are there twice"]),
    ],
)
def test_what_is_wrong_is_found(pair, injure, said):
    injure(pair[0])
    found = problems(pair)
    assert len(found) == len(said)
    assert all(words in problem for words, problem in zip(said, found, strict=True))


def test_a_few_other_answers_are_none_too_many(pair):
    change(ROWS, '"row": 500, "tokens": [3', '"row": 500, "tokens": [4')(pair[0])
    assert problems(pair) == []


@pytest.mark.parametrize(
    ("injure", "said"),
    [
        (change(METRICS, STEP, ""), ["7 steps, 8 undisturbed"]),
        (change(METRICS, "2.7", "2.8"), ["a loss differs by 0.1 nats"]),
        (change(METRICS, "2.7", "2.70001"), []),
    ],
)
def test_a_training_with_other_steps_is_found(pair, injure, said):
    injure(pair[0])
    assert list(kills.otherwise(*(kills.losses(one / "training_logs") for one in pair))) == said


def test_a_training_that_falls_behind_its_checkpoint_is_seen(pair):
    folder = pair[0]
    watch = kills.Watch(folder)
    watch.killed()
    watch.look()
    assert watch.problems == []
    write(folder, METRICS, [{"seed": 17, "batch": 0, "loss": 3.0}])
    watch.look()
    assert watch.problems == ["seed 17: 1 steps, its checkpoint had 2"]
