"""Holds files.py: a file is whole or not there, a lock has one holder."""

from __future__ import annotations

import hashlib
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import MachineError
from executor.system import files


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_whole(tmp_path, durable):
    path = tmp_path / "a"
    path.write_bytes(b"old and longer")
    before = path.stat().st_ino
    files.replace(str(path), b"new", durable=durable)
    assert path.read_bytes() == b"new"
    assert path.stat().st_ino != before
    assert os.listdir(tmp_path) == ["a"]


def test_a_reader_with_the_old_file_open_keeps_it_whole(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with path.open("rb") as file:
        files.replace(str(path), b"new")
        assert file.read() == b"old"


@pytest.mark.parametrize(("asked", "has"), [(0o600, 0o600), (0o644, 0o644), (0o4755, 0o4755)])
def test_a_mode_is_not_cut_by_the_umask(tmp_path, asked, has):
    path = tmp_path / "a"
    before = os.umask(0o077)
    try:
        files.replace(str(path), b"", mode=asked)
    finally:
        os.umask(before)
    assert mode(path) == has


def test_a_file_that_cannot_be_written_leaves_nothing_and_says_what_to_do(tmp_path):
    with pytest.raises(MachineError, match="create its folder"):
        files.replace(str(tmp_path / "missing" / "a"), b"new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MachineError, match="cannot write"):
        files.replace(str(tmp_path / "folder"), b"new")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_missing_file_reads_as_nothing(tmp_path):
    assert files.read(str(tmp_path / "a")) == b""


def test_a_private_folder_is_its_owners_alone(tmp_path):
    path = files.private_folder(str(tmp_path / "a" / "b"))
    assert mode(path) == 0o700
    assert files.private_folder(path) == path


def test_a_folder_that_cannot_be_made_is_the_machines_trouble(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(MachineError, match="cannot make the folder"):
        files.private_folder(str(tmp_path / "a" / "b"))


@given(st.binary())
def test_a_digest_is_sha256(data):
    assert files.digest(data) == hashlib.sha256(data).hexdigest()
