"""Holds the processes of checks to their answers, as a real process in a real folder."""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from executor.checks.kinds import CHECKS, Place, argv
from executor.plan.model import Check

CHILD = Path(__file__).resolve().parents[2] / "executor" / "checks" / "project_worker.py"
HOUR_S = 3600
KINDS = [kind for kind, row in CHECKS.items() if row.place in (Place.CHILD_EXECUTOR, Place.CHILD_PROJECT)]


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def started(*arguments, bare=True, **environ):
    flags = ("-I", "-S") if bare else ()
    env = {**os.environ, **environ}
    script = [sys.executable, *flags, CHILD, *arguments]
    is_ours = arguments[:1] and arguments[0] in KINDS and arguments[0] not in ("python_import", "call")
    asked = json.loads(arguments[1]) if is_ours else None
    return subprocess.run(
        argv(Check(name="", kind=arguments[0], asks=asked), python=sys.executable) if is_ours else script,
        env=env,
        capture_output=True,
        timeout=300,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def ask(kind, asks, **how):
    """One question, with the promises that hold for each answer."""
    run = started(kind, json.dumps(asks), **how)
    said = json.loads(run.stdout.splitlines()[-1])
    assert run.returncode == (0 if said["ok"] else 1)
    assert list(said) == ["ok", "expected", "got", "fix"]
    assert b"Traceback" not in run.stdout + run.stderr
    assert said["ok"] is (said["fix"] == "")
    return said


def yes(kind, asks, **how):
    said = ask(kind, asks, **how)
    assert said["ok"], said
    return said


def no(kind, asks, **how):
    said = ask(kind, asks, **how)
    assert not said["ok"], said
    return said


def written(name, content="", age_s=0.0):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    when = time.time() - age_s
    os.utime(path, (when, when))
    return path


def started_ns(path, after_s):
    """A start of MAIN so long after what is known of the file."""
    status = os.stat(path)
    return max(status.st_mtime_ns, status.st_ctime_ns) + int(after_s * 1e9)


# file


def test_a_file_that_is_there_is_told_with_size_and_age():
    written("data/a.jsonl", "x" * 1500, age_s=HOUR_S * 5)
    assert yes("file", "data/*.jsonl") == {
        "ok": True,
        "expected": "data/*.jsonl (1 file or more)",
        "got": "1 file, 1.5 kB, 5 h old",
        "fix": "",
    }


def test_two_stars_look_in_every_folder():
    written("a/b/c.txt", "1", age_s=300)
    written("d.txt", "1" * 999, age_s=600)
    assert yes("file", {"path": "**/*.txt", "min_count": 2})["got"] == "2 files, 1 byte to 999 bytes, newest 5 min old"


def test_a_missing_file_says_what_to_make():
    assert no("file", "nope/*") == {
        "ok": False,
        "expected": "nope/* (1 file or more)",
        "got": "nothing there",
        "fix": "make nope/*, or correct the path: it starts in the project's root",
    }


def test_a_name_with_brackets_is_a_name_before_it_is_a_glob():
    written("data[1].json", "1")
    assert yes("file", "data[1].json")["got"].startswith("1 file, 1 byte")


def test_a_directory_is_no_file():
    Path("checkpoints/step_1").mkdir(parents=True)
    said = no("file", "checkpoints/step_*")
    assert said["got"] == "1 directory, no file"
    assert said["fix"] == "write checkpoints/step_*/ when a directory is what counts"


@pytest.mark.parametrize("asks", ["checkpoints/step_*/", {"path": "checkpoints/step_*", "dir_ok": True}])
def test_a_directory_counts_when_asked_for(asks):
    Path("checkpoints/step_1").mkdir(parents=True)
    assert yes("file", asks)["got"].startswith("1 file")


@pytest.mark.parametrize(
    ("size", "octets"),
    [(2048, 2048), ("2KB", 2000), ("2 KiB", 2048), ("2K", 2048), ("0.5kb", 500), ("7", 7), ("3b", 3)],
)
def test_sizes_are_those_of_the_core_utilities(size, octets):
    written("enough", b"\0" * octets)
    written("short", b"\0" * (octets - 1))
    yes("file", {"path": "enough", "min_size": size})
    no("file", {"path": "short", "min_size": size})


def test_a_small_file_is_told_with_its_size():
    written("a", "1234")
    said = no("file", {"path": "a", "min_size": "10MB"})
    assert said["expected"] == "a (1 file or more, 10.0 MB or more each)"
    assert said["got"] == "1 file, too small: 4 bytes"


def test_too_few_files_say_how_many_are_needed():
    written("a1", "1")
    assert no("file", {"path": "a*", "min_count": 3})["fix"] == "2 more needed"


def test_min_count_0_allows_none():
    assert yes("file", {"path": "a*", "min_count": 0})["got"] == "no file"


def test_files_older_than_the_start_of_main_are_no_evidence():
    newest = max(started_ns(written(f"checkpoints/step_{n}", "1"), 31) for n in (1, 2))
    said = no("file", {"path": "checkpoints/step_*", "newer_than_ns": newest})
    assert said["expected"] == "checkpoints/step_* (1 file or more, newer than MAIN's start)"
    assert said["got"] == "2 files, both older by 31 s"
    assert said["fix"] == "make it again: it was there before"


def test_one_fresh_file_among_old_ones_is_enough():
    start = started_ns(written("step_1", "1"), 0.1)
    while time.time_ns() < start + 100_000_000:
        time.sleep(0.05)
    written("step_2", "1")
    assert yes("file", {"path": "step_*", "newer_than_ns": start})["got"].startswith("1 file")
    assert no("file", {"path": "step_*", "newer_than_ns": start, "min_count": 2})["got"].startswith(
        "2 files, 1 of them older by"
    )


def test_a_copy_that_keeps_its_old_time_is_fresh_by_its_change():
    path = written("model.bin", "1", age_s=HOUR_S * 24)
    yes("file", {"path": "model.bin", "newer_than_ns": path.stat().st_ctime_ns})


def test_newer_than_compares_with_a_file():
    written("data", "1", age_s=60)
    written("model", "1", age_s=20)
    yes("file", {"path": "model", "newer_than": "data"})
    assert no("file", {"path": "data", "newer_than": "model"})["got"] == "1 file, older by 40 s"
    assert no("file", {"path": "data", "newer_than": "data"})["got"] == "1 file, older by 0.000 s"
    assert no("file", {"path": "data", "newer_than": "gone"})["got"] == "gone: No such file or directory"


def test_a_broken_link_is_not_there():
    Path("link").symlink_to("gone")
    assert no("file", "link")["got"] == "nothing there"


def test_a_name_that_is_not_utf_8_is_found():
    Path(os.fsdecode(b"a\xff.bin")).write_bytes(b"1")
    yes("file", "a*.bin")


# disk_free


def test_free_space_is_proven_by_a_write_that_leaves_nothing():
    said = yes("disk_free", {"path": ".", "min_gb": 0.001})
    assert said["expected"] == "0.001 GB free and writable in ."
    assert re.fullmatch(r"\d+\.\d GB free, 4 KiB written", said["got"])
    assert os.listdir() == []


def test_too_little_space_says_how_much_to_free():
    said = no("disk_free", 10**9)
    assert re.fullmatch(r"\d+\.\d GB free", said["got"])
    assert re.fullmatch(r"free \d+\.\d GB in \., or name another path", said["fix"])


@pytest.mark.parametrize(
    ("path", "got"),
    [("gone", "No such file or directory"), ("a_file", "Not a directory")],
)
def test_a_place_that_cannot_be_written_says_so_in_the_systems_words(path, got):
    written("a_file")
    assert no("disk_free", {"path": path, "min_gb": 0})["got"] == got


def test_a_place_that_refuses_the_write_is_a_no_whatever_its_room():
    assert no("disk_free", {"path": "/proc", "min_gb": 0})["got"] in ("No such file or directory", "Permission denied")


# gpu_free


def smi(script):
    written("bin/nvidia-smi", f"#!/bin/sh\n{script}\n").chmod(0o755)
    return {"PATH": f"{os.getcwd()}/bin:{os.environ['PATH']}"}


def test_without_a_driver_no_gpu_is_free():
    said = no("gpu_free", {"min_gb": 8}, PATH=os.getcwd())
    assert said["expected"] == "1 GPU with 8 GB free, 100 % busy at most"
    assert said["got"] == "nvidia-smi not found"


@pytest.mark.parametrize(
    ("asks", "ok"),
    [
        (True, True),
        (None, True),
        (80, True),
        ({"min_gb": 86}, False),
        ({"min_gb": 1, "count": 2}, True),
        ({"count": 3}, False),
        ({"max_utilization": 10}, True),
        ({"max_utilization": 10, "min_gb": 10}, False),
    ],
)
def test_gpus_are_judged_by_memory_number_and_use(asks, ok):
    path = smi("echo '0, 81559, 97'; echo '1, 2048, 3'")
    said = ask("gpu_free", asks, **path)
    assert said["ok"] is ok
    assert said["got"] == "GPU 0: 85.5 GB free, 97 % busy; GPU 1: 2.1 GB free, 3 % busy"


def test_a_gpu_of_unknown_use_counts_only_when_use_does_not_matter():
    path = smi("echo '0, 81559, [N/A]'")
    yes("gpu_free", 10, **path)
    no("gpu_free", {"max_utilization": 50}, **path)


def test_a_broken_driver_is_told_in_its_own_words():
    assert (
        no("gpu_free", 1, **smi("echo no devices were found; exit 9"))["got"]
        == "nvidia-smi: exit 9: no devices were found"
    )


# port


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def unused():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_an_open_port_answers(listener):
    assert yes("port", listener) == {
        "ok": True,
        "expected": f"127.0.0.1:{listener} open",
        "got": "it answers",
        "fix": "",
    }
    assert no("port", {"port": listener, "state": "free"})["got"] == "Address already in use"


def test_a_free_port_can_be_had(unused):
    assert yes("port", {"port": unused, "state": "free"})["got"] == "free"
    assert no("port", {"host": "127.0.0.1", "port": unused})["got"] == "Connection refused"


@pytest.mark.parametrize("asks", [0, 65536, -1, True, None, "80", {"port": 80, "state": "shut"}, {"prot": 80}, [80]])
def test_a_wrong_port_is_a_no(asks):
    no("port", asks)


# url


class Site(BaseHTTPRequestHandler):
    def do_GET(self):
        codes = {"/moved": 302, "/gone": 404, "/key": 200 if self.headers["Authorization"] else 401}
        self.send_response(codes.get(self.path.partition("?")[0], 200))
        if self.path == "/moved":
            self.send_header("Location", "/well")
        self.end_headers()
        self.wfile.write(b"all is well" if self.path != "/large" else b"x" * (3 << 20))

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_url_answers_even_behind_a_proxy(site):
    said = yes("url", f"http://{site}/well", http_proxy="http://127.0.0.1:9")
    assert said == {"ok": True, "expected": f"status 200 from http://{site}/well", "got": "status 200", "fix": ""}


def test_a_redirect_is_followed(site):
    yes("url", {"url": f"http://{site}/moved", "contains": "well"})


def test_another_status_is_told(site):
    assert no("url", f"http://{site}/gone")["got"] == "status 404"
    yes("url", {"url": f"http://{site}/gone", "status": 404})


def test_a_body_is_searched_in_its_first_mebibyte(site):
    said = no("url", {"url": f"http://{site}/large", "contains": "well"})
    assert said["expected"] == f"status 200 from http://{site}/large with 'well'"
    assert said["got"] == "status 200, not in its 1048576 characters"


def test_the_user_of_a_url_is_sent_but_never_told(site):
    said = yes("url", f"http://me:s3cret@{site}/key?token=hush&plain")
    assert said["expected"] == f"status 200 from http://{site}/key?token=***&***"


@pytest.mark.parametrize(
    "address",
    [
        "http://me:s3cret@127.0.0.1:1/?token=s3cret",
        "http://me:s3cret@[bad/?token=s3cret",
        "http://me:s3/cret@127.0.0.1:1/",
        "http://127.0.0.1:1/a b?token=s3cret",
        "http://127.0.0.1:s3cret/",
        "file:///etc/passwd?s3cret",
        "s3cret://127.0.0.1",
        "?s3cret",
    ],
)
def test_a_url_that_fails_tells_no_secret(address):
    told = no("url", address)
    assert "s3" not in told["got"] + told["fix"]
    assert "token=s3cret" not in told["expected"]
    assert "me:s3" not in told["expected"]


def test_a_list_of_urls_is_not_quoted():
    assert "s3cret" not in json.dumps(no("url", {"url": ["http://me:s3cret@h"]}))


def test_a_silent_server_ends_at_the_timeout(listener):
    assert no("url", {"url": f"http://127.0.0.1:{listener}/", "timeout": 0.2})["got"] in ("timed out", "TimeoutError")


# the project's modules


def imports(asks, **how):
    return ask("python_import", asks, bare=False, **how)


def test_a_module_is_imported_from_the_project():
    written("mine.py", "__version__ = '3.1.4'")
    assert imports("mine") == {"ok": True, "expected": "import mine", "got": "mine 3.1.4", "fix": ""}


def test_the_modules_beside_the_child_are_not_the_projects():
    assert not imports("checks")["ok"]


def test_a_missing_module_says_what_to_install():
    said = imports("yaml_of_nowhere.part")
    assert said["got"] == "ModuleNotFoundError: No module named 'yaml_of_nowhere'"
    assert said["fix"] == f"{sys.executable} -m pip install yaml_of_nowhere"


def test_a_module_that_raises_is_told_in_one_line():
    written("broken.py", "raise RuntimeError('first\\nsecond')")
    assert imports("broken")["got"] == "RuntimeError: first"


def test_a_module_that_exits_is_a_no():
    written("leaving.py", "import sys; sys.exit(0)")
    assert imports("leaving")["got"] == "SystemExit: 0"


def test_a_module_that_prints_does_not_break_the_answer():
    written(
        "noisy.py",
        "import atexit, os, sys\nprint('{\"ok\": false}')\nos.write(1, b'junk')\nsys.stdout.write('no newline')\n"
        "atexit.register(print, 'late')\n__version__ = '1'",
    )
    run = started("python_import", '"noisy"', bare=False)
    assert run.returncode == 0
    assert len(run.stdout.splitlines()) == 1
    assert json.loads(run.stdout)["got"] == "noisy 1"


def test_a_module_that_leaves_a_thread_behind_does_not_hold_the_answer():
    written("threads.py", "import threading\nthreading.Thread(target=threading.Event().wait).start()")
    assert imports("threads")["ok"]


def test_a_list_of_modules_fails_by_its_first_bad_one():
    assert imports(["json", "re"])["expected"] == "import json; import re"
    assert imports(["json", "gone_a", "gone_b"])["expected"] == "import gone_a"


@pytest.mark.parametrize(
    ("limits", "ok"),
    [
        ("==2.1", True),
        ("==2.1.0.0", True),
        (">=2.0,<3", True),
        (">= 2.1 , != 2.2", True),
        (">2.1", False),
        ("<=2.0.9", False),
        ("<2.10", True),
        ("~=2.1", False),
        ("2.1", False),
    ],
)
def test_versions_compare_as_release_numbers(limits, ok):
    written("mine.py", "__version__ = '2.1.0+cu121'")
    said = imports({"module": "mine", "version": limits})
    assert said["ok"] is ok
    assert imports(f"mine{limits}")["ok"] is ok or limits == "2.1"


def test_a_version_comes_from_the_installed_distribution():
    assert re.fullmatch(r"yaml \d[\d.]+", imports("yaml>=5")["got"])


def test_a_wrong_version_says_what_to_install():
    written("mine.py", "__version__ = '1.0'")
    said = imports("mine>=2")
    assert (said["expected"], said["got"]) == ("import mine, version >=2", "mine 1.0")
    assert said["fix"] == f"{sys.executable} -m pip install 'mine>=2'"


def test_a_module_without_a_version_satisfies_no_version():
    written("mine.py")
    assert imports("mine>=0")["got"] == "mine of no known version"


# matches


def test_a_match_is_told_by_its_line():
    written("log.txt", "epoch 1\r\nfinal loss 0.25\r\nend")
    said = yes("matches", {"file": "*.txt", "pattern": r"^final loss 0\.\d+$"})
    assert said["expected"] == r"/^final loss 0\.\d+$/ in *.txt"
    assert said["got"] == "final loss 0.25"


def test_no_match_says_in_how_many_lines():
    written("a.txt", "one\ntwo\nthree")
    said = no("matches", {"file": "a.txt", "pattern": "four"})
    assert (said["got"], said["fix"]) == ("no match in 3 lines", "read a.txt, or correct the pattern")
    written("b.txt", "one\n")
    assert no("matches", {"file": "*.txt", "pattern": "four"})["got"] == "no match in 4 lines of 2 files"


def test_flags_are_letters():
    written("a.txt", "DONE")
    yes("matches", {"file": "a.txt", "pattern": "done", "flags": "i"})
    assert no("matches", {"file": "a.txt", "pattern": "done", "flags": "q"})["got"] == "flags: q"


def test_an_old_match_is_no_evidence():
    start = started_ns(written("a.txt", "done"), 5)
    assert no("matches", {"file": "a.txt", "pattern": "done", "newer_than_ns": start})["got"] == "1 file, older by 5 s"


def test_a_long_line_is_told_around_its_match():
    written("a.txt", "x" * 5000 + "loss=1" + "y" * 5000)
    got = yes("matches", {"file": "a.txt", "pattern": "loss"})["got"]
    assert "loss=1" in got
    assert len(got) == 120


def test_only_the_tail_of_a_huge_file_is_read():
    with open("huge.log", "wb") as stream:
        stream.write(b"early\n")
        stream.truncate(200 << 20)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\nlate words\n")
    assert yes("matches", {"file": "huge.log", "pattern": "^late"})["got"] == "late words"
    no("matches", {"file": "huge.log", "pattern": "early"})


@pytest.mark.parametrize("pattern", ["(", "*", "[", "(?P<a>x)(?P<a>y)"])
def test_a_bad_pattern_is_told(pattern):
    written("a.txt", "x")
    assert no("matches", {"file": "a.txt", "pattern": pattern})["got"].startswith("not a regular expression: ")


def test_a_binary_file_is_searched_without_harm():
    written("a.bin", bytes(range(256)) * 50 + b"\xff\xfeMAGIC\x00")
    assert "MAGIC" in yes("matches", {"file": "a.bin", "pattern": "MAGIC"})["got"]


def test_a_pipe_is_not_waited_for():
    os.mkfifo("pipe")
    assert no("matches", {"file": "pipe", "pattern": "x"})["got"] == "pipe is not a regular file"


# metric


def metric(name="loss", file="m.jsonl", **bounds):
    return ask("metric", {"name": name, "file": file, **bounds})


def test_the_last_row_that_has_the_metric_counts():
    written("m.jsonl", '{"loss": 9}\n{"loss": 0.5}\n{"lr": 1}\n{"loss": 0.')
    said = metric(below=1)
    assert (said["ok"], said["expected"], said["got"]) == (True, "loss below 1", "loss = 0.5 in m.jsonl")


@pytest.mark.parametrize(
    ("bound", "ok"),
    [
        ({"below": 0.5}, False),
        ({"below": 0.51}, True),
        ({"above": 0.5}, False),
        ({"above": 0.4}, True),
        ({"equals": 0.5}, True),
        ({"equals": 0.6}, False),
        ({"min": 0.5}, True),
        ({"max": 0.5}, True),
        ({"min": 0.6}, False),
        ({"max": 0.4}, False),
        ({"min": 0.1, "max": 0.4}, False),
        ({}, True),
    ],
)
def test_a_metric_is_held_to_every_bound(bound, ok):
    written("m.jsonl", '{"loss": 0.5}')
    assert metric(**bound)["ok"] is ok


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "null", '"nan"', '"low"', "true", "[1, 2]", "1" + "0" * 400]
)
def test_what_is_no_finite_number_satisfies_nothing(value):
    written("m.jsonl", f'{{"loss": 0.1}}\n{{"loss": {value}}}')
    for bound in ({}, {"below": 1e300}, {"above": -1e300}, {"min": -1e300}, {"max": 1e300}):
        said = metric(**bound)
        assert not said["ok"]
        assert said["fix"].startswith("only a finite number counts")


def test_a_dotted_name_goes_into_mappings():
    written("m.json", json.dumps({"eval": {"loss": 0.2}, "train.loss": 0.3}, indent=1))
    assert metric("eval.loss", "m.json", below=0.25)["ok"]
    assert metric("train.loss", "m.json", below=0.35)["ok"]


def test_the_metrics_of_a_result_file_come_first():
    written("result.json", '{"metrics": {"loss": 0.1}, "loss": 5, "note": "x"}')
    assert metric("loss", "result.json", max=1)["ok"]


@pytest.mark.parametrize(("name", "between"), [("m.csv", ","), ("m.tsv", "\t")])
def test_a_table_skips_its_empty_cells(name, between):
    rows = [("step", " loss ", "eval"), ("1", "0.9", ""), ("2", "0.4", "7"), ("3", "", ""), ("4",)]
    written(name, "\ufeff" + "\r\n".join(between.join(row) for row in rows) + "\r\n")
    assert metric("loss", name, below=0.5)["got"] == f"loss = 0.4 in {name}"
    assert metric("step", name)["got"] == f"step = 4 in {name}"


def test_a_table_of_a_header_alone_has_no_metric():
    written("m.csv", "step,loss\n")
    assert metric("loss", "m.csv")["got"] == "no loss in m.csv"


def test_a_huge_table_is_read_from_its_end():
    with open("m.csv", "wb") as stream:
        stream.write(b"step,loss\n")
        stream.truncate(100 << 20)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\n7,0.125\n")
    assert metric("loss", "m.csv", equals=0.125)["ok"]


def test_a_missing_metric_says_what_there_is():
    written("m.jsonl", '{"lr": 1, "epoch": 2}')
    said = metric()
    assert (said["got"], said["fix"]) == ("no loss in m.jsonl", "write loss there; its names: lr, epoch")


def test_an_old_metric_is_no_evidence():
    start = started_ns(written("m.jsonl", '{"loss": 0.1}'), 90)
    assert metric(newer_than_ns=start)["got"] == "1 file, older by 90 s"


@pytest.mark.parametrize("content", ["", "3", "[]", "[[1]]", "null", "words", "{", b"\xff\x00\xfe", "[" * 100_000])
@pytest.mark.parametrize("name", ["m.json", "m.jsonl", "m.csv"])
def test_a_file_without_rows_has_no_metric(name, content):
    written(name, content)
    assert not metric("loss", name)["ok"]


# result


def test_a_met_criterion_is_told_by_its_evidence():
    written("r.json", '{"criteria": {"API key validated": {"met": true, "evidence": "200 from /v1"}}}')
    assert yes("result", {"file": "r.json", "name": "API key validated"}) == {
        "ok": True,
        "expected": '"API key validated" met, by r.json',
        "got": "200 from /v1",
        "fix": "",
    }


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ('{"criteria": {"a": {"met": false, "evidence": "401"}}}', "met: false 401"),
        ('{"criteria": {"a": {"met": "yes", "evidence": "x"}}}', 'met: "yes" x'),
        ('{"criteria": {"a": {"met": 1, "evidence": "x"}}}', "met: 1 x"),
        ('{"criteria": {"a": {"met": true, "evidence": " "}}}', "met, no evidence"),
        ('{"criteria": {"b": {"met": true}, "c": {}}}', "not among its criteria: b, c"),
        ('{"criteria": {"a": true}}', "not among its criteria: a"),
        ('{"criteria": []}', "no criteria in it"),
        ("[]", "no criteria in it"),
        ("words", "no criteria in it"),
        ("[" * 100_000, "no criteria in it"),
    ],
)
def test_any_other_result_is_a_no(content, got):
    written("r.json", content)
    assert no("result", {"file": "r.json", "name": "a"})["got"] == got


def test_a_missing_result_file_is_a_no():
    assert no("result", {"file": "r.json", "name": "a"})["got"] == "nothing there"


# call


def calls(body, asks="mod.probe"):
    written("mod.py", body)
    return ask("call", asks, bare=False)


@pytest.mark.parametrize("value", ["None", "True", "{'ok': True}", "type('bool_', (), {'__bool__': lambda s: True})()"])
def test_a_function_passes_by_true_or_none(value):
    assert calls(f"def probe(): return {value}")["ok"]


@pytest.mark.parametrize("value", ["False", "0", "1", "'yes'", "{}", "[1]", "{'ok': 1}", "{'ok': None}", "object()"])
def test_anything_else_is_a_no(value):
    assert not calls(f"def probe(): return {value}")["ok"]


def test_a_functions_own_words_are_told():
    said = calls("def probe(): return {'ok': False, 'expected': '2 rows', 'got': 1, 'fix': 'add one'}")
    assert said == {"ok": False, "expected": "2 rows", "got": "1", "fix": "add one"}


def test_arguments_are_keywords():
    said = calls(
        "def probe(a, *, b): return {'ok': a + b == 3, 'got': a}", {"target": "mod:probe", "args": {"a": 1, "b": 2}}
    )
    assert (said["ok"], said["expected"], said["got"]) == (True, "mod.probe to pass", "1")


def test_a_function_in_a_class_of_a_package_is_found():
    written("pkg/__init__.py")
    written("pkg/deep.py", "class Box:\n    @staticmethod\n    def probe(): return True")
    assert yes("call", "pkg.deep.Box.probe", bare=False)["got"] == "returned True"


def test_a_function_that_raises_is_told_with_its_place():
    said = calls("\ndef probe():\n    raise KeyError('x')")
    assert (said["got"], said["fix"]) == ("KeyError: 'x'", "look at mod.py:3")


@pytest.mark.parametrize(
    ("body", "got"),
    [
        ("def probe(): raise SystemExit(0)", "SystemExit: 0"),
        ("def probe(): raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def probe(): return probe()", "RecursionError: maximum recursion depth exceeded"),
        ("class E(Exception):\n  def __str__(self): return 1 / 0\ndef probe(): raise E", "E"),
        (
            "class A:\n  def __repr__(self): return 1 / 0\ndef probe(): return A()",
            "ZeroDivisionError: division by zero",
        ),
        ("import nowhere_else", "ModuleNotFoundError: No module named 'nowhere_else'"),
        ("def probe(", "SyntaxError: '(' was never closed (mod.py, line 1)"),
        ("other = 1", "AttributeError: module 'mod' has no attribute 'probe'"),
        ("probe = 3", "TypeError: 'int' object is not callable"),
    ],
)
def test_whatever_a_function_does_ends_in_words(body, got):
    said = calls(body)
    assert not said["ok"]
    assert said["got"].startswith(got)


@pytest.mark.parametrize("asks", ["mod", "", ".", "..", "mod.", ".mod.probe", {"target": "mod.probe", "args": [1]}])
def test_a_target_that_is_no_function_is_a_no(asks):
    assert not calls("def probe(): return True", asks)["ok"]


# all of them


def test_the_child_keeps_to_the_syntax_of_python_3_8():
    ast.parse(CHILD.read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "asks",
    [[], {}, "", "\0", 1.5, -1, 10**400, {"path": 3}, {"file": [], "name": {}, "pattern": 1}, {"x": 1}, [[None]]],
)
def test_wrong_questions_end_in_words(kind, asks):
    if ask(kind, asks, PATH="")["ok"]:
        assert (kind, asks) in [("disk_free", 1.5), ("disk_free", -1), ("disk_free", {})]


@pytest.mark.parametrize("kind", ["matches", "metric", "result"])
def test_a_directory_cannot_be_read(kind):
    Path("folder").mkdir()
    assert (
        no(kind, {"file": "folder", "name" if kind != "matches" else "pattern": "x"})["got"] == "1 directory, no file"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_field_is_told(kind):
    assert no(kind, {"min_sze": 3})["got"] == "unknown: min_sze"


@pytest.mark.parametrize(
    "arguments", [(), ("call",), ("call", "{"), ("nope", "1"), ("call", "1", "2"), ("call", "[" * 99_999)]
)
def test_bad_arguments_exit_2_with_an_answer(arguments):
    run = started(*arguments)
    assert run.returncode == 2
    assert json.loads(run.stdout)["ok"] is False
    assert b"Traceback" not in run.stderr


def test_steering_characters_do_not_reach_the_answer():
    written("a.txt", "\x1b[31mred\x1b[0m\x07 alert")
    assert yes("matches", {"file": "a.txt", "pattern": "red"})["got"] == "red alert"
