"""A project whose step an agent does, with the scripted server for its model."""

from __future__ import annotations

import json
import os

from executor.testing import ScriptedServer
from tests.edge.projects import Project, check

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
