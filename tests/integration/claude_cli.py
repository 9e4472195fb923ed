"""A stand-in for the program of Claude Code 2.1.330: it plays a script and writes down how it was called.

`install` puts it into a folder as `claude`; from there it runs alone, with nothing of this project.
"""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
import time
from pathlib import Path

SCRIPT, RECORD = "claude.json", "claude.calls"
# The options of 2.1.330 that a run without a person may need; True: a value, "many": all words up to the next option.
FLAGS = {
    "--add-dir": "many",
    "--agent": True,
    "--agents": True,
    "--allowedTools": "many",
    "--allowed-tools": "many",
    "--append-system-prompt": True,
    "--continue": False,
    "--disallowedTools": "many",
    "--disallowed-tools": "many",
    "--effort": True,
    "--fallback-model": True,
    "--fork-session": False,
    "--include-partial-messages": False,
    "--input-format": True,
    "--max-budget-usd": True,
    "--max-turns": True,  # hidden from --help
    "--mcp-config": "many",
    "--model": True,
    "--no-session-persistence": False,
    "--output-format": True,
    "--permission-mode": True,
    "--permission-prompts": True,
    "--print": False,
    "--resume": True,
    "--session-id": True,
    "--setting-sources": True,
    "--settings": True,
    "--strict-mcp-config": False,
    "--system-prompt": True,
    "--tools": "many",
    "--verbose": False,
    "-c": False,
    "-p": False,
    "-r": True,
}
CHOICES = {
    "--output-format": ("text", "json", "stream-json"),
    "--input-format": ("text", "stream-json"),
    "--permission-mode": ("acceptEdits", "auto", "bypassPermissions", "manual", "dontAsk", "plan"),
}
PATIENCE_S = 300


class Installed:
    """The stand-in in its folder, which belongs in front of the PATH."""

    def __init__(self, folder):
        self.folder = Path(folder)

    @property
    def path(self):
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"

    @property
    def calls(self):
        """How it was called so far, each with argv, flags, env, cwd and prompt."""
        record = self.folder / RECORD
        return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []


def install(folder, *sessions):
    """Write the program with its script: the n-th call plays the n-th session, later ones the last.

    A session is a list of turns. A turn has any of `say` (text), `bash` (a command, really run), `write` (a pair of
    path and content, refused when --disallowedTools says so), `sleep` (seconds), `kill` (a signal to itself), `print`
    (a line as it is), `exit` (at once, with this code), `end` (fields of the result, the exit code under `code`).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCRIPT).write_text(json.dumps(sessions))
    program = folder / "claude"
    program.write_text(f"#!{sys.executable}\n{Path(__file__).read_text()}")
    program.chmod(0o755)
    return Installed(folder)


class Session:
    """One call of the program."""

    def __init__(self, argv):
        self.folder = Path(__file__).resolve().parent
        self.flags = read_flags(argv)
        self.denied = []
        self.turns = 0
        number = len(Installed(self.folder).calls)
        self.session = self.flags.get("--resume") or f"00000000-0000-4000-8000-{number:012}"
        self.scripts = json.loads((self.folder / SCRIPT).read_text())
        self.script = self.scripts[min(number, len(self.scripts) - 1)]
        call = {"argv": argv, "flags": self.flags, "env": dict(os.environ), "cwd": str(Path.cwd())}
        call["prompt"] = sys.stdin.read()
        with (self.folder / RECORD).open("a") as file:
            file.write(json.dumps(call) + "\n")
        if not call["prompt"].strip():
            sys.exit("Error: Input must be provided either through stdin or as a prompt argument when using --print")

    def play(self):
        self.tell({"type": "system", "subtype": "init", "cwd": str(Path.cwd()), "tools": ["Bash", "Edit", "Write"]})
        most = int(self.flags.get("--max-turns", 0))
        last = ""
        for turn in self.script:
            if most and self.turns >= most:
                return self.end({"subtype": "error_max_turns", "errors": [f"Reached maximum number of turns ({most})"]})
            last = turn.get("say", "")
            if "end" in turn:
                return self.end(turn["end"])
            self.turn(turn)
        return self.end({"subtype": "success", "result": last})

    def turn(self, turn):
        self.turns += 1
        message = f"msg_{self.session[-4:]}_{self.turns:04}"
        uses = [(name, turn[key]) for name, key in (("Bash", "bash"), ("Write", "write")) if key in turn]
        if "say" in turn:
            self.assistant(message, {"type": "text", "text": turn["say"]})
        for at, (name, asked) in enumerate(uses):
            given = {"command": asked} if name == "Bash" else {"file_path": str(Path(asked[0]).absolute())}
            self.assistant(message, {"type": "tool_use", "id": f"{message}_{at}", "name": name, "input": given})
        for at, (name, asked) in enumerate(uses):
            text, failed = self.bash(asked) if name == "Bash" else self.write(*asked)
            self.result(f"{message}_{at}", text, failed)
        time.sleep(turn.get("sleep", 0))
        if "print" in turn:
            print(turn["print"], flush=True)
        if "kill" in turn:
            os.kill(os.getpid(), turn["kill"])
        if "exit" in turn:
            sys.exit(turn["exit"])

    def bash(self, command):
        """Run it as Claude Code does: what CLAUDE_ENV_FILE names is read first, and there is no input."""
        before = os.environ.get("CLAUDE_ENV_FILE")
        text = f". {before}\n{command}" if before else command
        env = {**os.environ, "CLAUDECODE": "1", "CLAUDE_CODE_ENTRYPOINT": "sdk-cli"}
        ran = subprocess.run(
            ["/bin/bash", "-c", text],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=False,
        )
        out = ran.stdout.decode(errors="replace").rstrip("\n")
        return (f"Exit code {ran.returncode}\n{out}", True) if ran.returncode else (out, False)

    def write(self, path, content):
        if any(fnmatch.fnmatch(f"/{path}", rule[5:-1]) for rule in self.rules() if rule.startswith("Edit(")):
            given = {"file_path": str(Path(path).absolute()), "content": content}
            self.denied.append({"tool_name": "Write", "tool_use_id": "toolu", "tool_input": given})
            why = "File is in a directory that is denied by your permission settings."
            return f"<tool_use_error>{why}</tool_use_error>", True
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content)
        return f"File created successfully at: {Path(path).absolute()}", False

    def rules(self):
        return self.flags.get("--disallowedTools", [])

    def assistant(self, message, block):
        usage = {"input_tokens": 100, "output_tokens": 1}
        body = {"id": message, "role": "assistant", "model": "claude-scripted", "content": [block], "usage": usage}
        self.tell({"type": "assistant", "message": {**body, "stop_reason": None}, "parent_tool_use_id": None})

    def result(self, call, text, failed):
        block = {"type": "tool_result", "tool_use_id": call, "content": text, "is_error": failed}
        message = {"role": "user", "content": [block]}
        self.tell({"type": "user", "message": message, "parent_tool_use_id": None})

    def end(self, fields):
        known = {"subtype": "success", "total_cost_usd": 0.01 * self.turns, "permission_denials": self.denied, **fields}
        known.setdefault("is_error", known["subtype"] != "success")
        usage = {"input_tokens": 100 * self.turns, "output_tokens": 10 * self.turns}
        code = known.pop("code", 1 if known["is_error"] else 0)
        self.tell({"type": "result", "num_turns": self.turns, "usage": usage, **known})
        return code

    def tell(self, event):
        print(json.dumps({**event, "session_id": self.session}), flush=True)


def read_flags(argv):
    """Return the options by name; ends as the real one does when it does not know one, or what it is given."""
    flags, words = {}, list(argv)
    while words:
        flag = words.pop(0)
        if flag not in FLAGS:
            sys.exit(f"error: unknown option '{flag}'" if flag.startswith("-") else f"error: a prompt in argv: {flag}")
        if FLAGS[flag] == "many":
            flags[flag] = []
            while words and not words[0].startswith("-"):
                flags[flag].append(words.pop(0))
        elif FLAGS[flag]:
            flags[flag] = words.pop(0)
        else:
            flags[flag] = True
        if flag in CHOICES and flags[flag] not in CHOICES[flag]:
            sys.exit(f"error: option '{flag}' argument '{flags[flag]}' is invalid")
    if flags.get("--output-format") == "stream-json" and "--verbose" not in flags:
        sys.exit("Error: When using --print, --output-format=stream-json requires --verbose")
    return flags


if __name__ == "__main__":
    sys.exit(Session(sys.argv[1:]).play())
