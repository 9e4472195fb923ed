"""A student's steps, with a service that counts: what a checkpoint holds is what is noted of it."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

tinker = pytest.importorskip("tinker")
from tinker.types import RequestErrorCategory as Category  # noqa: E402

from common.settings import Training  # noqa: E402
from distillation.student import trainer  # noqa: E402
from distillation.student.dataset import Example  # noqa: E402

WANTED = Training(steps=7, batch=1, save_every=3, warmup=1)


class Done:
    """A future that is there: of a value, or of one with these attributes."""

    def __init__(self, value=None, **held):
        self.held = value or SimpleNamespace(**held)

    def result(self, _wait_s):
        return self.held


class CountingClient:
    """Counts optimizer steps; a state's path says how many it holds."""

    def __init__(self, ttls, steps=0, loss=1.0):
        self.ttls, self.steps, self.loss = ttls, steps, loss

    def forward_backward(self, _data, _loss):
        return Done(metrics={"loss:sum": self.loss})

    def forward(self, _data, _loss):
        return Done(metrics={"loss:sum": 1.0})

    def optim_step(self, _params):
        self.steps += 1
        return Done()

    def save_state(self, name, *, ttl_seconds, overwrite):
        assert overwrite
        self.ttls[f"state/{name}/{self.steps}"] = ttl_seconds
        return Done(path=f"state/{name}/{self.steps}")

    def save_weights_for_sampler(self, name, *, ttl_seconds):
        self.ttls[f"sampler/{name}/{self.steps}"] = ttl_seconds
        return Done(path=f"sampler/{name}/{self.steps}")


class Service:
    """Makes clients, and makes them again of a state."""

    loss = 1.0

    def __init__(self):
        self.ttls = {}  # seconds by path

    def create_lora_training_client(self, _model, **_more):
        return Done(CountingClient(self.ttls, loss=self.loss))

    def create_training_client_from_state_with_optimizer(self, path):
        return Done(CountingClient(self.ttls, int(path.rsplit("/", 1)[1])))

    def create_rest_client(self):
        return self

    def set_checkpoint_ttl_from_tinker_path(self, path, ttl_seconds):
        self.ttls[path] = ttl_seconds
        return Done()


@pytest.fixture
def one(tmp_path):
    """A class with one lesson."""
    lesson = Example([1, 2], [3], np.array([[3]]), np.ones((1, 1), np.float32))
    scene = SimpleNamespace(client=Service(), student="m")
    return trainer.StudentTraining(scene, WANTED, 17, [lesson], [lesson], tmp_path / "seed_17", "digest", 1.0)


def noted(one):
    path = one.folder / trainer.CHECKPOINTS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def test_a_checkpoint_holds_the_steps_before_its_batch(one):
    assert one.run().step in (3, 6, 7)
    assert [(row["batch"], int(row["state_path"].rsplit("/", 1)[1])) for row in noted(one)] == [(3, 3), (6, 6), (7, 7)]


def test_checkpoints_on_the_way_expire_and_the_last_and_the_chosen_one_stay(one):
    chosen = one.run()
    ttls, rows = one.setup.client.ttls, noted(one)
    assert [row["name"] for row in rows] == ["000003", "000006", "final"]
    stay = {chosen.state_path, chosen.sampler_path, rows[-1]["state_path"], rows[-1]["sampler_path"]}
    assert {path for path, seconds in ttls.items() if seconds is None} == stay
    assert {seconds for path, seconds in ttls.items() if path not in stay} <= {7 * 24 * 3600}
    assert len(ttls) == 6


@pytest.mark.parametrize("heard_at", range(1, 12))
def test_a_signal_at_any_moment_ends_with_a_checkpoint_of_the_steps_that_are_in_it(one, heard_at):
    asked = 0

    def is_ended():
        nonlocal asked
        asked += 1
        return asked >= heard_at

    rows = []
    one = dataclasses.replace(one, is_ended=is_ended, wrote=rows.append)
    one.run()
    last = noted(one)[-1]
    assert int(last["state_path"].rsplit("/", 1)[1]) == last["batch"]
    again = dataclasses.replace(one, is_ended=lambda: False)
    assert again.run().step in {row["batch"] for row in noted(one)}
    assert [row["batch"] for row in rows] == list(range(WANTED.steps))


def test_a_checkpoint_is_noted_after_the_row_of_its_step(one):
    seen = []
    dataclasses.replace(one, wrote=lambda row: seen.append((row["batch"] + 1, len(noted(one))))).run()
    assert [there for batch, there in seen if batch in (3, 6, 7)] == [0, 1, 2]


def test_a_training_that_has_ended_takes_no_step_and_keeps_its_rows(one):
    first = one.run()
    rows, kept = [], []
    again = dataclasses.replace(one, wrote=rows.append, forgot=lambda seed, batch: kept.append((seed, batch)))
    assert again.run() == first
    assert (rows, kept) == ([], [(17, WANTED.steps)])


def test_a_loss_that_is_no_number_ends_it(one):
    one.setup.client.loss = float("nan")
    with pytest.raises(trainer.Trouble, match=r"batch 0: the loss is nan: lower training\.learning_rate"):
        one.run()
    assert noted(one) == []


class Refuses:
    """A future that ends with an error."""

    def __init__(self, error):
        self.error = error

    def result(self, _wait_s):
        raise self.error


def failed(category):
    return tinker.RequestFailedError("no", "r1", category)


@pytest.mark.parametrize("error", [failed(Category.Server), failed(Category.Unknown), TimeoutError("late")])
def test_a_service_that_is_away_costs_no_checkpoint(one, error):
    dataclasses.replace(one, is_ended=lambda: True).run()
    kept, forgot = noted(one), []
    one = dataclasses.replace(one, forgot=lambda *told: forgot.append(told))
    one.setup.client.create_training_client_from_state_with_optimizer = lambda _path: Refuses(error)
    with pytest.raises(trainer.Trouble, match="nothing is lost, run the same command again") as trouble:
        one.run()
    assert trouble.value.exit_code == 75
    assert (noted(one), forgot) == (kept, [])


def test_a_checkpoint_that_the_service_refuses_is_lost_and_the_start_costs_no_row_before_it_is_there(one):
    dataclasses.replace(one, is_ended=lambda: True).run()
    kept = noted(one)
    one.setup.client.create_training_client_from_state_with_optimizer = lambda _path: Refuses(failed(Category.User))
    again = one.setup.client.create_lora_training_client
    one.setup.client.create_lora_training_client = lambda *_, **__: Refuses(TimeoutError("late"))
    with pytest.raises(TimeoutError):
        one.run()
    assert noted(one) == kept
    one.setup.client.create_lora_training_client = again
    one.run()
    assert [row["batch"] for row in noted(one)] == [3, 6, 7]
