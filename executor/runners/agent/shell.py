"""The shell of an agent: each command has a new shell, which is ended with all its children."""

from __future__ import annotations

import os

from executor.runners.agent.tools import ToolResult
from executor.system import files, process, procfs
from executor.system.outcome import Verdict
from executor.system.process_loop import ProcessLoop, end_orphans
from executor.system.records import TYPE_CHECKING
from executor.system.secret_values import NO_NAMED_SECRETS, NamedSecrets, without_secrets
from executor.system.text import clean_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from executor.system.interrupts import Interrupts
    from executor.system.masking import Masker
    from executor.system.process import ProcessResult

    Wrap = Callable[[tuple[str, ...]], tuple[str, ...]]

SHOWN = 8000  # characters of each end
WINDOW = 256 * 1024  # bytes of each end that are read
MOST_OUTPUT = 64 * 1024**2
WANTED = 'bash takes {"command": "..."}: a text, not empty, without NUL characters'
# The lock of the run (run_lock.LOCK_FD) is closed: a command could release it, or write to its file.
START = 'exec 29>&-; cd -- "$0" && exec /bin/bash --norc --noprofile -o pipefail -c "$1"'
OF_OTHERS = ("ANTHROPIC_", "CLAUDE")
# Variables that lead to keys: agents of ssh and gpg, a file that each shell reads.
LEFT_OUT = frozenset(("SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO", "BASH_ENV", "ENV"))
QUIET = {
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "PIP_PROGRESS_BAR": "off",
    "TQDM_MININTERVAL": "10",  # not TQDM_DISABLE: scripts read the count of a progress bar
}


def environment(
    environ: Mapping[str, str],
    *,
    names: Iterable[str],
    extra: Mapping[str, str],
    named: NamedSecrets = NO_NAMED_SECRETS,
) -> dict[str, str]:
    """Return the environment of an agent's shell: no secrets but `names`, no variables of the agent itself."""
    allowed = tuple(names)
    plain = {
        name: value
        for name, value in without_secrets(environ, allowed, named).items()
        if name in allowed or not (name.startswith(OF_OTHERS) or name in LEFT_OUT)
    }
    return {**plain, **QUIET, **extra}


class Shell:
    """Runs the commands of an agent one by one and returns their output.

    `token` is the run's DO_TASKS_RUN; each command has `TOKEN/bash.N`. Output over 4 KiB is kept, masked, in
    `bash.N.log` of `folder`, where no command may write. `wrap` returns the contained command line.
    """

    def __init__(  # noqa: PLR0913 - keywords
        self,
        *,
        root: str,
        env: Mapping[str, str],
        token: str,
        folder: str,
        wrap: Wrap,
        masker: Masker,
        limit_s: float,
        interrupts: Interrupts,
    ) -> None:
        self._root = os.path.realpath(root)
        self._env = env
        self._token = token
        self._folder = folder
        self._wrap = wrap
        self._masker = masker
        self._limit_s = limit_s
        self._interrupts = interrupts
        self._count = 0
        procfs.adopt_orphans()

    def __call__(self, given: Mapping[str, Any], *, left_s: float) -> ToolResult:
        """Run one call of the model; any input gets a result. `left_s` is the remaining time of the run."""
        command = given.get("command") if isinstance(given, dict) else None
        if command is None and isinstance(given, dict) and given.get("restart") is True:
            return ToolResult("each command has a fresh shell: nothing to restart")
        if not _is_command(command):
            return ToolResult(WANTED, failed=True)
        if left_s <= 0:
            return ToolResult("no time is left for a command", failed=True)
        return self._run(str(command), min(self._limit_s, left_s))

    def _run(self, text: str, limit_s: float) -> ToolResult:
        self._count += 1
        before = procfs.children()
        try:
            ended = self._wait(process.start(self._command(text, limit_s)))
        except process.CannotStartError as error:
            hint = "a long text belongs in a file: write it with the editor, then run that"
            return ToolResult(f"{error}; {hint}", failed=True)
        finally:
            end_orphans(before)
        return ToolResult(self._answer(ended), failed=ended.verdict != Verdict.PASSED)

    def _command(self, text: str, limit_s: float) -> process.Command:
        name = f"bash.{self._count}"
        shell = ("/bin/bash", "--norc", "--noprofile", "-c", START, self._root, text)
        return process.Command(
            name=name,
            argv=self._wrap(shell),
            env=self._env,
            token=f"{self._token}/{name}",
            limit_s=limit_s,
            spill=os.path.join(self._folder, f"{name}.log"),
            max_output=MOST_OUTPUT,
        )

    def _wait(self, running: process.RunningProcess) -> ProcessResult:
        loop = ProcessLoop(self._interrupts)
        loop.add(running)
        ended: list[ProcessResult] = []
        try:
            while not ended:
                ended = loop.turn()
        except BaseException:
            loop.kill_all()
            raise
        return ended[0]

    def _answer(self, ended: ProcessResult) -> str:
        output = self._output(ended)
        end = _last_line(ended, silent=not output.strip())
        between = "\n" if output and end and not output.endswith("\n") else ""
        return f"{output}{between}{end}"

    def _output(self, ended: ProcessResult) -> str:
        """Return both ends of the output, masked before they are cut."""
        if not ended.output_file:
            return self._cut(ended.output, b"", len(ended.output), "")
        if self._masker:
            files.mask_in_place(ended.output_file, self._masker.mask_bytes_equal_length)
        size = os.path.getsize(ended.output_file)
        with open(ended.output_file, "rb") as file:
            if size <= 2 * WINDOW:
                return self._cut(file.read(), b"", size, ended.output_file)
            head = file.read(WINDOW)
            file.seek(size - WINDOW)
            return self._cut(head, file.read(), size, ended.output_file)

    def _cut(self, head: bytes, tail: bytes, size: int, path: str) -> str:
        """Return an output, without its middle when it is long; an empty tail: the head is the whole output."""
        first = self._plain(head)
        if not tail and len(first) <= 2 * SHOWN:
            return first
        start, end = first[:SHOWN], (self._plain(tail) if tail else first)[-SHOWN:]
        left = max(0, size - len(start.encode()) - len(end.encode()))
        where = f": all of it is in {self._relative(path)}" if path else ""
        return f"{start}\n[... {left:,} of {size:,} bytes left out here{where} ...]\n{end}"

    def _plain(self, data: bytes) -> str:
        """Return output as text without control characters; of a line that was overwritten, only its last state."""
        lines = data.decode("utf-8", "replace").split("\n")
        visible = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
        return self._masker.mask(clean_control(visible))

    def _relative(self, path: str) -> str:
        real = os.path.realpath(path)
        return os.path.relpath(real, self._root) if real.startswith(os.path.join(self._root, "")) else real


def _is_command(command: object) -> bool:
    if not isinstance(command, str) or not command.strip() or "\0" in command:
        return False
    try:
        os.fsencode(command)
    except UnicodeEncodeError:  # half of a character, as in broken JSON
        return False
    return True


def _last_line(ended: ProcessResult, *, silent: bool) -> str:
    """Return the last line of a result, empty for a success with output."""
    duration = f"{ended.duration_s:.1f} s"
    if ended.reason:
        return f"[stopped: {ended.reason}; {duration}]"
    if ended.signal:
        return f"[killed by signal {ended.signal}, {duration}]"
    if ended.exit_code == 0 and not silent:
        return ""
    return f"[{'no output, ' if silent else ''}exit {ended.exit_code}, {duration}]"
