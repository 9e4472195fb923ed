"""Checkpoints are whole or absent, last through restarts, and go when their life is over."""

from __future__ import annotations

import os
import time

import pytest

from tinker_local import storage as stored
from tinker_local.api_types import AbsentError, RefusedError
from tinker_local.storage import Place, Store

RUN = "session:train:0"
WHERE = Place(RUN, "weights", "a")


class Clock:
    """Seconds that go on when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    store = Store(tmp_path, clock)
    store.write_run(RUN, {"base_model": "m"})
    return store


def save(store, where=WHERE, text="1", life=None, *, overwrite=False):
    about = {"base_model": "m", "expires": None if life is None else store.clock() + life}
    return store.save(where, about, lambda folder: (folder / "w").write_text(text), overwrite=overwrite)


def names(store):
    return [where.name for where, _ in store.checkpoints(RUN)]


def test_a_checkpoint_has_a_path_that_finds_it(store):
    path = save(store)
    assert path == "tinker://session:train:0/weights/a"
    where, about = store.found(path)
    assert (where, about["size_bytes"]) == (WHERE, 1)


def test_a_name_is_taken_once(store):
    save(store)
    with pytest.raises(RefusedError, match="overwrite"):
        save(store, text="2")
    assert (store.at(WHERE) / "w").read_text() == "1"


def test_one_that_is_overwritten_is_the_new_one_alone(store):
    save(store)
    save(store, text="2", overwrite=True)
    assert (store.at(WHERE) / "w").read_text() == "2"
    assert [path.name for path in store.at(WHERE).parent.iterdir()] == ["a"]


def test_one_that_could_not_be_written_leaves_the_old_one(store):
    save(store)

    def fails(folder):
        (folder / "w").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.save(WHERE, {"expires": None}, fails, overwrite=True)
    assert (store.at(WHERE) / "w").read_text() == "1"
    assert names(store) == ["a"]


def test_the_newest_is_listed_first(store, clock):
    for name in ("a", "b", "c"):
        save(store, Place(RUN, "weights", name))
        clock.now += 1
    assert names(store) == ["c", "b", "a"]


def test_one_whose_life_is_over_is_gone(store, clock):
    path = save(store, life=3600)
    clock.now += 3599
    assert store.found(path)
    clock.now += 1
    with pytest.raises(AbsentError, match="expired"):
        store.found(path)
    assert not store.at(WHERE).exists()


def test_a_sweep_takes_what_nobody_asks_for(store, clock):
    save(store, life=3600)
    save(store, Place(RUN, "weights", "b"))
    clock.now += 4000
    store.sweep()
    assert [path.name for path in store.at(WHERE).parent.iterdir()] == ["b"]


def test_a_deleted_one_is_gone_once(store):
    save(store)
    assert (store.delete(WHERE), store.delete(WHERE), names(store)) == (True, False, [])


def test_all_is_there_after_a_restart(store, tmp_path):
    path = save(store)
    store.write("samplers", "s", {"base_model": "m"})
    again = Store(tmp_path)
    assert (again.found(path)[0], again.runs(), again.read("samplers", "s")) == (WHERE, [RUN], {"base_model": "m"})


def test_half_of_one_is_removed_at_the_next_start(store, tmp_path):
    beside = store.at(WHERE).parent / ".a.12345678"
    beside.mkdir(parents=True)
    assert list(Store(tmp_path).checkpoints(RUN)) == []
    assert not beside.exists()


def test_one_killed_while_it_was_replaced_comes_back(store, tmp_path):
    save(store)
    store.at(WHERE).rename(store.at(WHERE).parent / f".a{stored.OLD}")
    again = Store(tmp_path)
    assert (again.at(WHERE) / "w").read_text() == "1"


def test_a_file_that_is_no_json_is_as_if_it_were_not_there(store, tmp_path):
    (tmp_path / "sessions" / "s.json").write_text("{")
    assert store.read("sessions", "s") is None


@pytest.mark.parametrize(
    "path",
    [
        "", "a", "tinker://", "tinker://a/b", "tinker://a/weights", "tinker://a/other/b", "tinker://../weights/a",
        "tinker://a/weights/..", "tinker://a/weights/b/c", "tinker://a/weights/.b", "tinker://a/weights/b\n",
        "tinker:///weights/b", "http://a/weights/b", f"tinker://a/weights/{'x' * 129}", "tinker://a\x00/weights/b",
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused(path):
    with pytest.raises(RefusedError):
        stored.place(path)


@pytest.mark.parametrize("seconds", [0, -1, 3599, 315_360_001])
def test_a_life_is_an_hour_to_ten_years(seconds):
    with pytest.raises(RefusedError, match="ttl_seconds"):
        stored.refuse_ttl(seconds)


@pytest.mark.parametrize("name", ["..", "../../x", "a/b", ".a", ""])
def test_a_name_that_leaves_the_folder_reads_nothing(store, name):
    assert (store.read("sessions", name), store.run(name)) == (None, None)


def test_sessions_that_ended_long_ago_are_forgotten_with_their_samplers(tmp_path):
    now = time.time()
    store = Store(tmp_path, clock=lambda: now)
    for name, finished in (("old", "success"), ("new", "success"), ("open", None)):
        store.write("sessions", name, {"finished": finished})
        store.write("samplers", f"{name}:sample:0", {"model_path": None})
    for path in tmp_path.glob("sessions/o*.json"):
        os.utime(path, (now - stored.FORGET_S - 1,) * 2)
    store.sweep()
    assert set(store.names("sessions")) == {"new", "open"}
    assert set(store.names("samplers")) == {"new:sample:0", "open:sample:0"}
