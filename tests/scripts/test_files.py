"""Files are whole or absent."""

from __future__ import annotations

import pytest

from common import files, verified_folder
from common.errors import Trouble


class Broken:
    """Rows whose second one cannot be had."""

    def __iter__(self):
        yield {"n": 1}
        raise RuntimeError("the source broke")


def test_a_broken_source_leaves_the_old_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    files.write_jsonl(path, [{"n": 0}])
    with pytest.raises(RuntimeError):
        files.write_jsonl(path, Broken())
    assert files.read_jsonl(path) == [{"n": 0}]
    assert [one.name for one in tmp_path.iterdir()] == ["rows.jsonl"]


def test_text_that_cannot_be_encoded_leaves_nothing_beside(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        files.write_text(tmp_path / "new.txt", "fine \ud800")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"n": 1}\n{"n": \n')
    with pytest.raises(Trouble, match=r"rows\.jsonl:2 is not JSON"):
        files.read_jsonl(tmp_path / "rows.jsonl")


def test_a_kept_folder_is_whole_until_a_byte_changes(tmp_path):
    folder = tmp_path / "kept"
    verified_folder.keep(folder, {"a.txt": b"one", "b.txt": b"two"})
    assert verified_folder.is_whole(folder)
    (folder / "a.txt").write_bytes(b"0ne")
    assert not verified_folder.is_whole(folder)


def test_a_folder_is_replaced_as_one(tmp_path):
    folder = tmp_path / "kept"
    verified_folder.keep(folder, {"old.txt": b"old"})
    verified_folder.keep(folder, {"new.txt": b"new"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256.json", "new.txt"]


def test_a_folder_that_cannot_be_filled_leaves_nothing(tmp_path):
    with pytest.raises(OSError):  # noqa: PT011 - the words are the system's
        verified_folder.keep(tmp_path / "kept", {"no/such/folder.txt": b""})
    assert list(tmp_path.iterdir()) == []


def test_a_row_may_hold_what_unicode_calls_a_line_end(tmp_path):
    rows = [{"text": "a\u2028b\x85c\u2029"}, {"text": "d"}]
    files.write_jsonl(tmp_path / "rows.jsonl", rows)
    assert files.read_jsonl(tmp_path / "rows.jsonl") == rows
