"""What a source leads to: modules of the project, from file to file, and nothing that is installed."""

from __future__ import annotations

import os

import pytest

from executor.store.imports import imported_by, kind_of, named_in_words
from executor.store.input_files import recorded
from executor.store.sources import Sources, behind


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def led_to(root, files, *, script="scripts/a.py", words=""):
    tree(root, files)
    path = os.path.join(root, script) if script else ""
    return [*behind(str(root), script=path, words=words, sources=Sources()).found]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a", ["a"]),
        ("import a.b.c as x, d", ["a.b.c", "d"]),
        ("from a.b import c, d", ["a.b", "a.b.c", "a.b.d"]),
        ("from . import x", [".", ".x"]),
        ("from ..p import y", ["..p", "..p.y"]),
        ("from a import *", ["a"]),
        ("def f():\n    import a", ["a"]),
        ("try:\n    import a\nexcept ImportError:\n    import b", ["a", "b"]),
        ("if TYPE_CHECKING:\n    import a", ["a"]),
        ("match x:\n    case 1:\n        import a", ["a"]),
        ("import importlib\nimportlib.import_module('a.b')", ["importlib", "a.b"]),
        ("x = '\\d'; import a", ["a"]),
        ("print 'old'\nimport a, b as c\nfrom d import e", ["a", "b", "d", "d.e"]),
        ("# -*- coding: latin-1 -*-\nimport a # \xe9", ["a"]),
        ("", []),
    ],
)
def test_what_a_python_source_imports(text, names):
    assert sorted(imported_by(text.encode("latin-1"))) == sorted(names)


@pytest.mark.parametrize("text", [b"\0import a", b"(" * 5000, b"\xff\xfe", b"def f(:\n", b"-" * 100_000 + b"1"])
def test_what_does_not_parse_hurts_nobody(text):
    imported_by(text)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("python scripts/x.py --flag", ["scripts/x.py"]),
        ("cd a && bash './run.sh'; python -m pkg.train", ["./run.sh", "-m pkg.train"]),
        ("torchrun --nproc 2 train.py --config=c.yaml", ["train.py"]),
        ("cat data.pyc x.pyx", []),
    ],
)
def test_what_a_shells_words_name(words, found):
    assert [*named_in_words(words)] == found


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.py", b"", "python"),
        ("train", b"#!/usr/bin/env python3\n", "python"),
        ("a.sh", b"", "shell"),
        ("run", b"#!/usr/bin/env bash\n", "shell"),
        ("run", b"#!/bin/sh -e\n", "shell"),
        ("a.rb", b"#!/usr/bin/ruby\n", ""),
    ],
)
def test_kinds_of_sources(name, text, kind):
    assert kind_of(name, text) == kind


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"scripts/a.py": "import lib.x", "scripts/lib/x.py": ""}, ["scripts/lib/x.py"]),
        ({"scripts/a.py": "import x", "x.py": ""}, ["x.py"]),
        ({"scripts/a.py": "import x", "x.py": "", "scripts/x.py": ""}, ["scripts/x.py"]),
        (
            {"scripts/a.py": "import p.m", "src/p/__init__.py": "", "src/p/m.py": ""},
            ["src/p/__init__.py", "src/p/m.py"],
        ),
        (
            {"scripts/a.py": "import b", "scripts/b.py": "import c", "scripts/c.py": "import b"},
            ["scripts/b.py", "scripts/c.py"],
        ),
        (
            {
                "scripts/a.py": "import p",
                "p/__init__.py": "from . import q",
                "p/q.py": "from .r import z",
                "p/r.py": "",
            },
            ["p/__init__.py", "p/q.py", "p/r.py"],
        ),
        ({"scripts/a.py": "from p import f", "p/__init__.py": "", "p/unused.py": ""}, ["p/__init__.py"]),
        ({"scripts/a.py": "import json", "json.py": ""}, []),
        ({"scripts/a.py": "import json", "scripts/json.py": ""}, ["scripts/json.py"]),
        ({"scripts/a.py": "import torch", ".venv/lib/site-packages/torch.py": ""}, []),
        ({"scripts/a.py": "import datasets", "datasets/train.csv": ""}, []),
        ({"scripts/a.py": "x = 1", "scripts/b.py": ""}, []),
    ],
)
def test_what_a_script_leads_to(tmp_path, files, found):
    assert led_to(tmp_path, files) == found


def test_a_shell_script_leads_to_what_it_calls(tmp_path):
    files = {"run.sh": 'cd "$(dirname $0)"\npython train.py "$@"\n', "train.py": "import lib", "lib.py": ""}
    assert led_to(tmp_path, files, script="run.sh") == ["lib.py", "train.py"]


def test_a_command_leads_to_what_it_names(tmp_path):
    files = {"scripts/b.py": "import lib", "scripts/lib.py": "", "pkg/__init__.py": "", "pkg/__main__.py": ""}
    found = led_to(tmp_path, files, script="", words="python scripts/b.py && python -m pkg")
    assert found == ["pkg/__init__.py", "pkg/__main__.py", "scripts/b.py", "scripts/lib.py"]


def test_a_linked_script_finds_modules_beside_what_it_links_to(tmp_path):
    tree(tmp_path, {"real/a.py": "import lib", "real/lib.py": "", "scripts/b.py": ""})
    (tmp_path / "scripts" / "a.py").symlink_to("../real/a.py")
    assert led_to(tmp_path, {}) == ["real/lib.py"]


def aged(path, by_s=100):
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns - by_s * 10**9))


def test_a_file_that_has_just_changed_is_kept_by_nobody(tmp_path):
    tree(tmp_path, {"a.py": "import b"})
    kept = Sources(str(tmp_path / "sources.json"))
    kept.source(str(tmp_path / "a.py"))
    kept.save()
    assert not (tmp_path / "sources.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": "0.1.0", "files": {"a": 3}}', "\x00"])
def test_an_odd_cache_is_no_cache(tmp_path, text):
    tree(tmp_path, {"a.py": "import b", "sources.json": text})
    source = Sources(str(tmp_path / "sources.json")).source(str(tmp_path / "a.py"))
    assert source.names == ("b",)


def test_inputs_small_by_content_large_by_size_and_time(tmp_path):
    tree(tmp_path, {"d/small.csv": "1", "d/large.bin": b"0" * (1 << 20) + b"0"})
    first = recorded(str(tmp_path), ["d/*", "gone.csv"], Sources())
    aged(tmp_path / "d/small.csv")
    aged(tmp_path / "d/large.bin")
    after = recorded(str(tmp_path), ["d/*", "gone.csv"], Sources())
    assert first["gone.csv"] == "missing"
    assert {name for name in first if first[name] != after[name]} == {"d/large.bin"}


def test_a_folder_stands_for_what_is_below_it_but_for_outputs(tmp_path):
    tree(tmp_path, {"d/a": "1", "d/e/b": "1", "d/out/c": "1", "d/.hidden/x": "1"})
    assert [*recorded(str(tmp_path), ["d"], Sources(), without=["d/out"])] == ["d/a", "d/e/b"]


def test_of_very_many_inputs_the_first_count(tmp_path):
    for number in range(10_050):
        (tmp_path / f"{number:05}").touch()
    assert len(recorded(str(tmp_path), ["*"], Sources())) == 10_000
