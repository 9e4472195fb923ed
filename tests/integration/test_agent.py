"""MAIN by an agent of ours: what it does is judged by evidence, over the real SDK on a real wire."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from executor.testing import (
    bash,
    done,
    edit,
    limited,
    overloaded,
    refused,
    say,
    stall,
    together,
    truncated,
    usage,
    use,
)
from tests.integration.agents import CLAIMS, Play, Wire, poem, project_in, spoken
from tests.integration.projects import check

pytest.importorskip("anthropic")
WRITE = bash("printf 'a\\nb\\na\\nb\\n' >poem.txt")
SHORT = bash("echo one >poem.txt")


@pytest.fixture
def project(tmp_path):
    return project_in(tmp_path / "p")


def play(project, *script):
    return Play(project, list(script))


def test_a_real_step_is_done_and_ticked(project):
    make = "import pathlib\npathlib.Path('poem.txt').write_text('a\\nb\\na\\nb\\n')\nprint('wrote it')\n"
    script = [edit("create", "scripts/make.py", file_text=make), bash("python3 scripts/make.py"), done(CLAIMS)]
    with play(poem(project), *script) as scene:
        ran = scene.run()
        assert ran.code == 0, ran
        assert "(1 proven, 1 claimed)" in project.spec
        assert "wrote it" in scene.answers(3)[0].text
        assert [line["turn"] for line in project.events("AgentTurned")] == [1, 2, 3]
        scene.server.check()


def test_an_agent_is_given_no_env_file_and_cannot_read_it(project):
    project.write(".env.train", "MOOD=cheerful-mood-42\nSIZE=32\n", mode=0o600)
    look = bash('cat .env.train; echo "mood=$MOOD size=$SIZE"; grep -rsl cheer[f]ul .; echo evil >>.env.train')
    step = {"post_validation": [{**check("given", 'test "$MOOD" = cheer"ful-mood"-42'), "env": ["MOOD"]}]}
    script = (look, edit("view", ".env.train"), WRITE, done(CLAIMS))
    with play(poem(project, env_file=".env.train", step=step), *script) as scene:
        ran = scene.run()
        said = json.dumps([request.body for request in scene.requests])
        assert (ran.code, "cheerful" in said, "cheerful" in ran.out) == (0, False, False)
        assert "mood= size=" in said
        assert "which no agent is shown" in said
    assert "evil" not in project.text(".env.train")


def test_the_role_the_skill_and_the_brief_are_in_the_first_request(project):
    with play(poem(project), WRITE, done(CLAIMS)) as scene:
        scene.run()
        first = scene.requests[0]
        assert "ROLEMARK" in json.dumps(first.body["system"])
        assert "SKILLMARK" in scene.told()
        assert "## Objective\\nWrite four lines" in scene.told()
        assert first.tools == ("bash", "str_replace_based_edit_tool", "done")
        assert first.body["model"] == "claude-scripted"


def test_who_does_main_and_how_it_is_held_is_said_and_logged(project):
    with play(poem(project), WRITE, done(CLAIMS)) as scene:
        ran = scene.run()
    started = project.event("MainStarted")
    assert (started["runner"], started["agent"], started["model"]) == ("agent", "tinker-executor", "claude-scripted")
    assert started["containment"]
    assert f"[MAIN] Containment: {started['containment']}" in ran.out


def test_an_overloaded_service_is_asked_again(project):
    with play(poem(project), overloaded(), overloaded(), WRITE, done(CLAIMS)) as scene:
        assert scene.run().code == 0
        assert len(scene.requests) == 4
        scene.server.check()


def test_retry_after_is_obeyed(project):
    with play(poem(project), limited(retry_after=1.5), WRITE, done(CLAIMS)) as scene:
        assert scene.run().code == 0
        assert "asked again in 1.5 s" in project.text(scene.folder() + "/stdout.log")


def test_a_refused_key_fails_at_once(project):
    with play(poem(project), refused(401)) as scene:
        ran = scene.run()
        assert (ran.code, len(scene.requests)) == (1, 1)
        assert "401" in project.event("StepFailed")["reason"]
        assert "ANTHROPIC_API_KEY" in project.event("StepFailed")["reason"]


def test_a_service_that_falls_silent_is_asked_again(project):
    with play(poem(project, limits={"stall": 0.5}), stall(30), WRITE, done(CLAIMS)) as scene:
        assert scene.run().code == 0
        assert len(scene.requests) == 3


def test_a_service_that_stays_silent_ends_the_step(project):
    with Play(poem(project, limits={"stall": 0.3, "seconds": 2}), lambda _: stall(30)) as scene:
        ran = scene.run()
        assert ran.code == 1, ran
        assert "silent" in project.event("StepFailed")["reason"]


def test_a_rate_limit_that_stays_is_a_class_of_its_own(project):
    with Play(poem(project), lambda _: limited(retry_after=900)) as scene:
        assert scene.run().code == 1
        assert project.event("MainFinished")["failure"] == "rate_limit"


def test_a_cut_call_is_answered_and_not_run(project):
    cut = truncated(bash("touch ran.txt; printf 'a\\nb\\na\\nb\\n' >poem.txt; echo more and more"))
    with play(poem(project), cut, WRITE, done(CLAIMS)) as scene:
        assert scene.run().code == 0
        assert scene.answers(2)[0].is_error
        assert not project.has("ran.txt")
        scene.server.check()


def test_two_calls_of_one_turn_are_answered_in_order(project):
    with play(poem(project), together(bash("echo first"), WRITE, bash("echo third")), done(CLAIMS)) as scene:
        assert scene.run().code == 0
        texts = [one.text for one in scene.answers(2)]
        assert ("first" in texts[0], "third" in texts[2]) == (True, True)
        scene.server.check()


@pytest.mark.first_rows(2)
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (use("web_search", query="poems"), "there are bash, str_replace_based_edit_tool, done"),
        (use("bash"), "command"),
        (use("bash", command=7), "command"),
        (use("str_replace_based_edit_tool", command="fold", path="x"), "view"),
        (use("done", criteria="all of them"), "criteria"),
        (done({"The poem rhymes": "yes"}), "It is there"),
        (done({**CLAIMS, "It is short": "yes"}), "It is short"),
    ],
)
def test_what_cannot_be_used_is_answered_with_what_can(project, wrong, says):
    with play(poem(project), wrong, WRITE, done(CLAIMS)) as scene:
        ran = scene.run()
        assert ran.code == 0, ran
        (answer,) = scene.answers(2)
        assert (answer.is_error, says in answer.text) == (True, True), answer
        scene.server.check()


def test_done_beside_other_calls_is_not_taken(project):
    with play(poem(project), together(WRITE, done(CLAIMS)), done(CLAIMS)) as scene:
        assert scene.run().code == 0
        assert [one.is_error for one in scene.answers(2)] == [False, True]
        scene.server.check()


def test_one_that_never_hands_in_is_stopped_at_its_turns(project):
    with Play(poem(project, limits={"turns": 4}), lambda ask: bash(f"echo {ask.number}")) as scene:
        ran = scene.run()
        assert (ran.code, len(scene.requests)) == (1, 4)
        assert "limit of 4 turns is reached" in project.event("StepFailed")["reason"]
        assert "- [ ] **STEP 1**" in project.spec


def test_one_that_only_talks_is_told_and_then_ended(project):
    with Play(poem(project), lambda _: say("I am thinking.")) as scene:
        assert scene.run().code == 1
        assert "You called no tool" in scene.told(2)
        assert len(scene.requests) == 5


def test_one_that_goes_round_in_circles_is_warned_and_then_ended(project):
    with Play(poem(project), lambda _: bash("cat missing.txt")) as scene:
        assert scene.run().code == 1
        assert "with the same result" in scene.told(4)
        assert "with the same result" in project.event("StepFailed")["reason"]
        assert len(scene.requests) == 6


@pytest.mark.first_rows(1)
@pytest.mark.parametrize(
    ("limits", "billed", "says"),
    [
        ({"tokens": 1000}, usage(input=100, output=100, cache_read=500, cache_write=400), "1,000 tokens"),
        ({"usd": 0.5, "prices": {"input": 100, "output": 500}}, usage(input=4000, output=400), "US dollars"),
        ({"seconds": 0.2}, usage(), "seconds"),
    ],
)
def test_a_budget_that_is_reached_ends_the_work_before_the_next_request(project, limits, billed, says):
    slow = bash("sleep 0.3").billed(billed)
    with play(poem(project, limits=limits), slow) as scene:
        assert scene.run().code == 1
        assert len(scene.requests) == 1
        assert says in project.event("StepFailed")["reason"]


def test_what_the_turns_cost_is_in_the_log(project):
    prices = {"input": 10, "output": 20}
    script = [WRITE.billed(usage(1000, 100, 200, 300)), done(CLAIMS).billed(usage(500, 50, 0, 0))]
    with play(poem(project, limits={"prices": prices}), *script) as scene:
        scene.run()
    first, second = project.events("AgentTurned")
    assert (first["tokens"], second["tokens"]) == (1600, 2150)
    assert scene.trajectory()["info"]["spent"]["usd"] == pytest.approx(0.01595 + 0.006)


def test_what_post_finds_goes_back_and_is_mended(project):
    with play(poem(project), SHORT, done(CLAIMS), WRITE, done(CLAIMS)) as scene:
        ran = scene.run()
        assert ran.code == 0, ran
        (feedback,) = scene.answers(3)
        assert "lines: expected exit 0" in feedback.text
        assert len(project.events("TaskStarted")) == 1
        assert [line["run"] for line in project.events("MainFinished")] == ["main.1", "main.2"]
        scene.server.check()


def test_a_lie_ticks_nothing(project):
    lie = [done(CLAIMS), done(CLAIMS), done(CLAIMS)]
    with play(poem(project), *lie) as scene:
        ran = scene.run()
        assert ran.code == 1, ran
        assert len(scene.requests) == 3
    assert "✗ Failed" in project.spec
    assert "- [ ] **STEP 1**" in project.spec
    assert "lines: expected exit 0" in project.event("StepFailed")["reason"]
    assert not project.events("StepPassed")


def test_an_honest_no_is_an_end(project):
    honest = done({**CLAIMS, "It is there": {"met": False, "evidence": "the disk is full"}})
    with play(poem(project), honest) as scene:
        assert scene.run().code == 1
        assert "the disk is full" in project.event("StepFailed")["reason"]
        assert len(scene.requests) == 1


def test_after_a_verdict_another_agent_begins_anew(project):
    with play(poem(project, judge={"rounds": 1}), SHORT, done(CLAIMS), WRITE, done(CLAIMS)) as scene:
        assert scene.run().code == 1
        assert scene.run().code == 0
        assert len(project.events("TaskStarted")) == 2
        assert len(scene.requests[2].body["messages"]) == 1


def test_strict_takes_no_claim(project):
    with play(poem(project, settings={"strict": True, "judge": {"rounds": 1}}), WRITE, done(CLAIMS)) as scene:
        assert scene.run().code == 1
        assert "only claimed" in project.event("StepFailed")["reason"]


def test_the_agent_is_shown_how_the_test_failed_and_may_mend_it(project):
    project.write("scripts/make.py", "raise SystemExit('no such rhyme')\n")
    with play(poem(project, script="scripts/make.py"), WRITE, done(CLAIMS)) as scene:
        assert scene.run().code == 0
        assert "no such rhyme" in scene.told()


def test_a_script_that_is_not_there_yet_may_be_written(project):
    with play(poem(project, script="scripts/make.py"), WRITE, done(CLAIMS)) as scene:
        ran = scene.run()
        assert ran.code == 0, ran
        assert "is not written yet" in project.event("TestSkipped")["reason"]


def test_metrics_of_what_the_agent_ran_count_beside_its_claims(project):
    bound = {"criterion": "Loss is low", "metric": {"name": "loss", "below": 1}}
    plan = poem(project, success_criteria=["The poem rhymes", bound])
    write = bash("""echo '{"metrics": {"loss": 0.5}}' >"$DO_TASKS_RESULT"; printf 'a\\nb\\na\\nb\\n' >poem.txt""")
    with play(plan, write, done({"The poem rhymes": "it does", "Loss is low": "0.5"})) as scene:
        ran = scene.run()
        assert ran.code == 0, ran
        assert "(1 proven, 1 claimed)" in project.spec


def test_long_output_is_clipped_and_kept_whole(project):
    loud = bash("head -c 1000000 /dev/zero | tr '\\0' x; printf 'a\\nb\\na\\nb\\n' >poem.txt")
    with play(poem(project), loud, done(CLAIMS)) as scene:
        assert scene.run().code == 0
        (answer,) = scene.answers(2)
        assert len(answer.text) < 20_000
        assert (project.root / scene.folder() / "bash.1.log").stat().st_size == 1_000_000


def test_a_model_that_is_none_of_the_service_s_own_gets_the_schema_of_each_tool(project):
    project.environ["ANTHROPIC_MODEL"] = "llama-4"
    with play(poem(project), WRITE, done(CLAIMS)) as scene:
        assert scene.run().code == 0
        assert all("input_schema" in tool for tool in scene.requests[0].body["tools"])


def words(reply):
    return b"".join(spoken(reply))


RAN = words(bash("touch ran.txt"))
NO_END = RAN[: RAN.index(b"event: content_block_stop")]
LOST_ITS_PLACE = RAN.replace(b'"index": 0', b'"index": 7')
BROKEN_CALL = RAN.replace(b'd\\": \\"tou', b'd\\": }}}tou')


@pytest.mark.first_rows(2)
@pytest.mark.parametrize(
    "garbled",
    [NO_END, LOST_ITS_PLACE, BROKEN_CALL, b"", b"<html>hello</html>", b"\xff\xfe\n\n", b"event: ping\ndata: [1]\n\n"],
    ids=["no end", "no such block", "broken call", "nothing", "a page", "bytes", "a list"],
)
def test_half_an_answer_or_none_is_asked_for_again_and_nothing_of_it_is_run(project, garbled):
    with Wire(poem(project), [garbled, words(WRITE), words(done(CLAIMS))]) as service:
        ran = project.run("--step", "1")
        assert ran.code == 0, ran
        assert len(service.bodies) == 3
    assert not project.has("ran.txt")


CALL = b'{"type": "tool_use", "id": "toolu_0001_00", "name": "bash", "input": {}}'


@pytest.mark.first_rows(2)
@pytest.mark.parametrize(
    "flawed",
    [
        RAN.replace(CALL, b'{"type": "tool_use", "name": "bash", "input": {}}'),
        RAN.replace(CALL, CALL.replace(b'"bash"', b"null")),
        words(use("done", criteria={"a": float("nan")}, summary="")),
        words(say("half of \ud800 it")),
        words(together(bash("echo one"), bash("echo two"))).replace(b"toolu_0001_01", b"toolu_0001_00"),
        RAN.replace(b'"output_tokens": 10', b'"output_tokens": "many"'),
    ],
    ids=["no id", "no name", "not a number", "half a character", "one id twice", "usage in words"],
)
def test_a_flawed_call_of_a_model_is_answered_once(project, flawed):
    with Wire(poem(project), [flawed, words(WRITE), words(done(CLAIMS))]) as service:
        ran = project.run("--step", "1")
        assert ran.code == 0, ran
        calls = [block["id"] for block in service.bodies[1]["messages"][1]["content"] if block["type"] == "tool_use"]
        assert service.answers(2) == calls
        assert len(set(calls)) == len(calls)


def test_an_address_that_is_none_is_not_asked_again(project):
    poem(project).environ["ANTHROPIC_BASE_URL"] = "localhost:8080"
    ran = project.run("--step", "1")
    assert ran.code == 1, ran
    assert "look at ANTHROPIC_BASE_URL" in project.event("StepFailed")["reason"]
    assert "asked again" not in project.text(f".do-tasks/jobs/{project.task_id()}/main.1/stdout.log")


def test_evidence_of_megabytes_is_cut_and_the_rest_of_the_claims_count(project):
    long = dict.fromkeys(CLAIMS, "y" * 3_000_000)
    with play(poem(project), WRITE, done(long)) as scene:
        ran = scene.run()
        assert ran.code == 0, ran
        assert "(1 proven, 1 claimed)" in project.spec


def test_signs_of_life_without_an_answer_end_with_the_seconds(project):
    with Pings() as url:
        poem(project, limits={"seconds": 1, "stall": 0.8}, judge={"rounds": 1})
        project.environ |= {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "x" * 20}
        ran = project.run("--step", "1")
    assert ran.code == 1, ran
    assert "no answer within" in project.event("StepFailed")["reason"]


class Pings:
    """A service that begins every answer and then only says that it lives, for ten seconds at most."""

    def __enter__(self):
        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Pinging)
        self.listener.daemon_threads = True
        threading.Thread(target=self.listener.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{self.listener.server_port}"

    def __exit__(self, *_):
        self.listener.shutdown()
        self.listener.server_close()


class Pinging(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for _ in range(100):
            try:
                self.wfile.write(b'event: ping\ndata: {"type": "ping"}\n\n')
            except OSError:
                return
            time.sleep(0.1)

    def log_message(self, *_):
        return


def test_what_an_earlier_round_made_is_evidence_in_the_next(project):
    bound = [{"criterion": "a", "file": "a.txt"}, {"criterion": "b", "file": "b.txt"}]
    project.plan(s1={"main": {"agent": "tinker-executor", "runner": "agent", "success_criteria": bound}})
    claims = {"a": "a.txt", "b": "b.txt"}
    with play(project, bash("echo a >a.txt"), done(claims), bash("echo b >b.txt"), done(claims)) as scene:
        ran = scene.run()
    assert ran.code == 0, ran
    assert "(2 proven)" in project.spec


def test_what_was_there_before_its_first_round_is_none(project):
    project.write("a.txt", "old")
    bound = [{"criterion": "a", "file": "a.txt"}]
    main = {"agent": "tinker-executor", "runner": "agent", "success_criteria": bound, "judge": {"rounds": 2}}
    with play(project.plan(s1={"main": main}), done({"a": "a.txt"}), done({"a": "a.txt"})) as scene:
        assert scene.run().code == 1
    assert "older" in project.event("StepFailed")["reason"]
