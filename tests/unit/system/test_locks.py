import os
import shutil

import pytest

from executor.errors import BusyError, MachineError
from executor.system import locks


def test_a_lock_has_one_holder_whose_pid_is_told(tmp_path):
    path = str(tmp_path / "lock")
    held = locks.acquire(path)
    with pytest.raises(BusyError, match=rf"pid {os.getpid()}\b"):
        locks.acquire(path)
    held.release()
    locks.acquire(path).release()


def test_a_lock_left_by_the_dead_is_free_and_names_its_new_holder(tmp_path):
    path = tmp_path / "lock"
    path.write_text("99999999999\n")
    held = locks.acquire(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    held.release()


def test_a_lock_is_not_inherited(tmp_path):
    held = locks.acquire(str(tmp_path / "lock"))
    assert not os.get_inheritable(held.fd)
    held.release()


def test_a_brief_lock_is_given_back(tmp_path):
    path = str(tmp_path / "lock")
    for _ in range(2):
        with locks.ShortLock(path, limit_s=0.0):
            assert os.path.exists(path)


def test_a_brief_lock_that_stays_taken_says_who_to_ask(tmp_path):
    path = str(tmp_path / "lock")
    with locks.ShortLock(path), pytest.raises(MachineError, match="fuser"), locks.ShortLock(path, limit_s=0.02):
        pass


def test_a_lock_that_cannot_be_opened_is_the_machines_trouble(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(MachineError, match="cannot open the lock"):
        locks.acquire(str(tmp_path / "lock"))


def test_a_lock_whose_file_was_deleted_is_taken_again_unless_another_has_it(tmp_path):
    path = tmp_path / "state" / "lock"
    lock = locks.acquire(str(path))
    shutil.rmtree(path.parent)
    locks.take_again()
    assert locks.holder_pid(str(path)) == str(os.getpid())
    shutil.rmtree(path.parent)
    other = locks.acquire(str(path))
    with pytest.raises(BusyError, match="another executor"):
        lock.take_again()
    other.release()
    lock.take_again()
    lock.release()
    assert not locks.holder_pid(str(path))
