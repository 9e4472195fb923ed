"""Lessons: the teacher's distribution without bias, orders and rates that a resumed training has again."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from common import files, verified_folder
from common.errors import Trouble
from common.settings import Audit, Settings, Training
from distillation.prompt import dialogue
from distillation.student import dataset, trainer
from distillation.teacher import audit


def test_soft_targets_have_the_teachers_distribution_on_average():
    chances = np.array([0.5, 0.2, 0.15, 0.1, 0.05])
    ids, known = np.arange(2)[None], chances[None, :2].astype(np.float32)
    sums, drawn = np.zeros(5), np.random.default_rng(3).choice(5, size=4000, p=chances)
    for token in drawn:
        targets, weights = dataset.soft([int(token)], ids, known)
        np.add.at(sums, targets[0], weights[0])
    assert sums / len(drawn) == pytest.approx(chances, abs=0.02)


def test_a_token_among_the_likeliest_is_not_counted_twice():
    _, weights = dataset.soft([1], np.array([[1, 2]]), np.array([[0.9, 0.05]], np.float32))
    assert weights[0].tolist() == pytest.approx([0.9, 0.05, 0.0])


def test_fewer_likeliest_than_asked_for_leave_places_that_count_nothing():
    ids, nats = np.array([[9, 9], [0, 5], [3, 0]]), np.array([[-0.1, -0.2], [-0.5, -1.0], [-0.25, -99999.0]])
    response = SimpleNamespace(topk_prompt_logprobs_np=SimpleNamespace(token_ids=ids, logprobs=nats))
    found, chances = dataset.likeliest(response, 2, 3)
    assert found.tolist() == [[0, 5, 0], [3, 0, 0]]
    np.testing.assert_allclose(chances, [[np.exp(-0.5), np.exp(-1.0), 0], [np.exp(-0.25), 0, 0]], rtol=1e-6)
    _, weights = dataset.soft([0, 0], found, chances)
    assert weights[:, -1].tolist() == [0, 1]  # token 0 is drawn; in the second place it stands for none


def test_every_lesson_is_taken_once_an_epoch():
    taken = [place for step in range(5) for place in trainer.places(7, step, 4, 20)]
    assert sorted(taken) == list(range(20))


def test_a_batch_over_the_end_of_an_epoch_begins_the_next():
    taken = trainer.places(7, 2, 4, 10)
    assert len(taken) == 4
    assert taken[:2] == trainer.order(7, 0, 10)[8:]
    assert taken[2:] == trainer.order(7, 1, 10)[:2]


def test_the_order_is_that_of_seed_and_step_alone():
    again = [trainer.places(7, step, 4, 10) for step in (3, 1, 2)]
    assert again == [trainer.places(7, step, 4, 10) for step in (3, 1, 2)]
    assert trainer.places(8, 1, 4, 10) != trainer.places(7, 1, 4, 10)


def test_the_rate_rises_then_falls_to_nearly_nothing():
    wanted = Training(steps=100, warmup=10, learning_rate=1.0)
    rates = [trainer.learning_rate(step, wanted) for step in range(100)]
    assert rates.index(max(rates)) == 9
    assert rates[-1] == pytest.approx(0.01)


def test_a_half_written_row_is_no_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"batch": 1}\n{"batch": 2}\n{"bat')
    assert [row["batch"] for row in files.read_whole_jsonl(path)] == [1, 2]


ROW = {"id": "q1", "kind": "play", "group": "cue", "template": "play", "question": "Who goes?", "tokens": [5, 6, 2]}
PROMPT = (
    "SPEECHES:\nThere lives not three good men unhanged in England tonight, my lord.\n"
    "My friend Prince Henry\nBy name Falstaff"
)


def test_a_dialogue_reads_back_whole():
    one = dialogue.formatted({**ROW, "answer": 'He, "sir".\nAnd I.'})
    assert dialogue.split_dialogue(json.loads(json.dumps(one))) == ("Who goes?", 'He, "sir".\nAnd I.')


def test_a_line_of_the_prompt_is_found_in_an_answer():
    said = "Nay. There lives not three good men unhanged in England tonight, my lord."
    assert list(dialogue.find_leaks([dialogue.formatted({**ROW, "answer": said})], PROMPT))


def test_a_name_of_the_prompt_may_be_said():
    for said in ("I am by name Falstaff.", "It is my friend Prince Henry."):
        assert not list(dialogue.find_leaks([dialogue.formatted({**ROW, "answer": said})], PROMPT))


def test_what_is_no_dialogue_is_refused():
    with pytest.raises(Trouble, match="no question with its answer"):
        dialogue.split_dialogue({"messages": [{"role": "system", "content": "x"}], "id": "q1"})


TOLD = audit.References(PROMPT, frozenset({"sack"}), frozenset({"what is held out"}))
ANSWER = "Give me a cup of sack number {}, good {}."


def generated(count=40, **changed):
    kinds = ("play", "person", "place", "deed", "advice", "quarrel", "opinion", "name")
    row = {**ROW, "whole": True}
    return [
        {**row, "kind": kinds[at % 8], "question": f"Who is {at}?", "answer": ANSWER.format(at, at * at), **changed}
        for at in range(count)
    ]


def failing(rows):
    found = audit.figures(rows, TOLD)
    return {one.text for one in audit.judge(found, Audit(), is_whole=True) if not one.met}


def test_a_good_set_passes():
    assert failing(generated()) == set()


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"answer": "Give me one cup of sack, boy."}, "Answers are not double"),
        ({"question": "Who?"}, "Questions are not double"),
        ({"answer": ""}, "Answers are not empty"),
        ({"whole": False}, "Answers come to an end"),
        ({"question": "What is held out?"}, "No held-out question is asked"),
        ({"answer": PROMPT.splitlines()[1]}, "Answers do not recite the prompt"),
        ({"kind": "play"}, "No kind is most of it"),
        ({"answer": "No word of his is here at all."}, "The character's words are used"),
    ],
)
def test_a_bad_set_fails_for_its_reason(changed, text):
    assert text in failing(generated(**changed))


def test_an_empty_set_fails():
    assert failing([]) == {"There are answers"}


class Teacher:
    """A sampler that holds three tokens likeliest anywhere, and answers no more than `most` times."""

    def __init__(self, most):
        self.most, self.asked = most, 0

    def sample(self, prompt, *_more, prompt_logprobs_last_n, topk_prompt_logprobs, **_rest):
        self.asked += 1
        return (
            self
            if self.asked > self.most
            else Distribution(prompt.length, topk_prompt_logprobs, prompt_logprobs_last_n)
        )

    def result(self, _wait_s):
        raise TimeoutError


class Distribution:
    """The answer of a teacher: places before the last ones are marked."""

    def __init__(self, length, top, last):
        ids = np.tile(np.arange(top, dtype=np.int32), (length, 1))
        nats = np.log(np.full((length, top), 0.25, np.float32))
        nats[: length - last] = -99999.0
        self.topk_prompt_logprobs_np = SimpleNamespace(token_ids=ids, logprobs=nats)

    def result(self, _wait_s):
        return self


def asked_of(most, folder, count):
    teacher = Teacher(most)
    voice = SimpleNamespace(kind="sheet", prompt="P", asked=lambda question, *, prompted: [len(question), 7])  # noqa: ARG005
    scene = SimpleNamespace(voice=voice, teacher="m", sampler=lambda **_: teacher)
    pairs = [(f"q{number}", [number % 5, 1]) for number in range(count)]
    told = []
    settings = Settings(training=Training(top=3))
    try:
        found = dataset.kept(scene, pairs, settings, folder, lambda done, of: told.append((done, of)))
    except Trouble as trouble:
        found = str(trouble)
    return found, teacher.asked, told


def test_distributions_that_are_there_are_not_asked_for_again(tmp_path):
    pytest.importorskip("tinker")
    part, count = dataset.PART, 2 * dataset.PART + 100
    said, _, told = asked_of(part + 50, tmp_path, count)
    assert "run the same command again" in said
    assert told == [(part, count)]
    found, asked, told = asked_of(10 * count, tmp_path, count)
    assert (len(found), asked, told[-1]) == (count, count - part, (count, count))
    targets, weights = found[-1]  # the tokens 4 and 1 were said: 1 is among the likeliest, 4 is not
    assert targets.tolist() == [[0, 1, 2, 4], [0, 1, 2, 1]]
    np.testing.assert_allclose(weights, [[0.25, 0.25, 0.25, 1], [0.25, 0.25, 0.25, 0]])
    assert asked_of(0, tmp_path, count)[1] == 0


def test_distributions_of_a_local_model_are_not_those_of_one_made_anew_under_its_name(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("DO_TASKS_MODELS", str(tmp_path))
    voice = SimpleNamespace(kind="sheet", prompt="P")

    def name_of():
        return dataset.digest(SimpleNamespace(voice=voice, teacher="local/small"), [("q", [1])], 3)

    verified_folder.keep(tmp_path / "small", {"tokenizer.json": b"one"})
    first = name_of()
    assert name_of() == first
    verified_folder.keep(tmp_path / "small", {"tokenizer.json": b"another"})
    assert name_of() != first
