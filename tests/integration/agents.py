"""A project whose step an agent does, with the scripted server for its model."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from executor.testing import ScriptedServer, wire
from executor.testing.request import Request
from tests.integration.projects import Project, check

ROLE = """\
---
name: tinker-executor
description: Does one step.
tools: Bash, Read, Edit, Write
model: inherit
skills: [tinker-api]
---
You do one step. ROLEMARK
"""
SKILL = """\
---
name: tinker-api
description: How to train with it. Use when training.
---
# Tinker
SKILLMARK
"""
MODEL = "claude-scripted"


def project_in(folder):
    """A project with a role, a skill and no plan yet."""
    project = Project(folder)
    project.write(".claude/agents/AGENT.md", ROLE)
    project.write(".claude/skills/tinker-api/SKILL.md", SKILL)
    project.environ = {"ANTHROPIC_MODEL": MODEL}
    return project


def poem(project, *, settings=None, step=None, **main):
    """One step: an agent is to write a poem of four lines, which POST counts."""
    body = {
        "agent": "tinker-executor",
        "runner": "agent",
        "objective": "Write four lines",
        "success_criteria": ["The poem rhymes", {"criterion": "It is there", "file": "poem.txt"}],
        **main,
    }
    post = [check("lines", "test 4 = $(wc -l <poem.txt)")]
    return project.plan(settings=settings, s1={"main": body, "post_validation": post, **(step or {})})


CLAIMS = {"The poem rhymes": "lines 1 and 3 end alike", "It is there": "poem.txt, 8 bytes"}


def spoken(reply):
    """The events of a reply, each as the bytes that a service streams."""
    return wire.parts(reply, Request(1, "/v1/messages", {}, {"stream": True, "model": MODEL}, ""))


class Wire:
    """A service that answers each post with the next of these bytes, as a stream, whatever they are."""

    def __init__(self, project, answers):
        waiting = list(answers)
        self.bodies = bodies = []

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self):
                bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                self.wfile.write(waiting.pop(0))

            def log_message(self, *_):
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        project.environ["ANTHROPIC_BASE_URL"] = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answers(self, number):
        """The tool results that post `number` carries, from 1, by the id of their call."""
        last = self.bodies[number - 1]["messages"][-1]["content"]
        return [block["tool_use_id"] for block in last if block["type"] == "tool_result"]


class Play:
    """A project's command line beside a scripted server."""

    def __init__(self, project, script):
        self.project = project
        self.server = ScriptedServer(script)

    def __enter__(self):
        self.server.__enter__()
        self.project.environ.update(self.server.environ)
        return self

    def __exit__(self, *_):
        self.server.close()

    def run(self, *words, **popen):
        return self.project.run(*(words or ("--step", "1")), **popen)

    @property
    def requests(self):
        return self.server.requests

    def answers(self, number):
        """The tool results that request `number` carries, from 1."""
        return self.requests[number - 1].results

    def told(self, number=1):
        """All text of a request."""
        return json.dumps(self.requests[number - 1].body, ensure_ascii=False)

    def trajectory(self, run="main.1"):
        return json.loads(self.project.text(self.folder(run) + "/trajectory.json"))

    def folder(self, run="main.1"):
        return os.path.join(".do-tasks", "jobs", self.project.task_id(), run)
