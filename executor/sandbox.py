"""An agent's shell held inside the project by bubblewrap."""

from __future__ import annotations

import os

from executor import files, proc
from executor.errors import MachineError
from executor.interrupts import Interrupts
from executor.mask import clean_control
from executor.values import TYPE_CHECKING, Value
from executor.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Mounts = dict[str, tuple[str, ...]]

USUAL = ("/usr/bin", "/bin", "/usr/local/bin")
PROBE_S = 5.0
PROBE = "echo in >inside; echo in >/tmp/inside; (echo out >../outside) 2>/dev/null; exit 0"
PACKAGE = os.path.dirname(os.path.abspath(__file__))
OURS = ".do-tasks"
# Read-only inside the project: what records the work, and what others run of it later.
RECORDS = (OURS, ".task_execution.log", ".git/hooks", ".git/config", ".claude")
GPUS = ("nvidia", "kfd", "dri", "dxg")
# Root may write these without any capability, and bwrap covers them only for others.
KERNEL = ("/proc/sys", "/proc/sysrq-trigger", "/proc/mtrr", "/proc/irq", "/proc/bus")
TMP = "/tmp"  # noqa: S108 - the very folder that others share is kept from the shell
VOLATILE = ("/run", "/var/run", "/var/tmp")  # noqa: S108 - as above; sockets of docker and dbus are there
NIX = ("/run/current-system", "/run/opengl-driver")
SECRETS = (
    *(".ssh", ".gnupg", ".password-store", ".local/share/keyrings", ".age", ".vault-token"),
    *(".aws", ".azure", ".kube", ".docker", ".oci", ".boto", ".s3cfg", ".databrickscfg", ".modal.toml"),
    *(".config/gcloud", ".config/gh", ".config/hub", ".config/git/credentials", ".config/rclone", ".config/containers"),
    *(".git-credentials", ".netrc", ".pypirc", ".npmrc", ".cargo/credentials", ".cargo/credentials.toml"),
    *(".pgpass", ".my.cnf", ".kaggle", ".config/kaggle", ".config/wandb"),
    *(".huggingface", ".cache/huggingface/token", ".cache/huggingface/stored_tokens", ".tinker", ".config/tinker"),
    *(".claude", ".claude.json", ".config/claude", ".config/anthropic", ".anthropic", ".codex", ".gemini"),
    *(".openai", ".config/openai", ".mozilla", ".config/google-chrome", ".config/chromium"),
    *(".bash_history", ".zsh_history"),
)


class Containment(Value):
    """What holds the shell: `kind` is bubblewrap or none, `why` there is none, `program` the path of bwrap."""

    kind: str = "none"
    network: bool = True
    why: str = ""
    program: str = ""

    @property
    def words(self) -> str:
        """Return what a person reads of it, in one line."""
        if self.kind == "none":
            return f"none{self.why and f' ({self.why})'}: the shell can do what you can"
        network = "network shared" if self.network else "no network"
        return f"bubblewrap: the project writable, the rest read-only, {network}"


def containment(mode: str, *, network: bool, path: str) -> Containment:
    """Return what can hold a shell here, tried once; `mode` is auto, required or off, `path` a PATH to look in.

    Whoever asked for `required` must fail when its kind is none.
    """
    if mode == "off":
        return Containment(why="sandbox: off")
    program = _program(path)
    if not program:
        return Containment(why="bwrap is not installed; the package is called bubblewrap")
    tried = Containment("bubblewrap", network=network, program=program)
    trouble = _trouble(tried)
    return Containment(why=f"bwrap does not work here: {trouble}") if trouble else tried


def _program(path: str) -> str:
    """Return where bwrap is; the usual folders first, for an agent may write to others."""
    folders = [*USUAL, *filter(os.path.isabs, path.split(os.pathsep))]
    found = (os.path.join(folder, "bwrap") for folder in folders)
    return next((file for file in found if os.path.isfile(file) and os.access(file, os.X_OK)), "")


def _trouble(tried: Containment) -> str:
    """Return what keeps it from holding a shell, empty when nothing does."""
    from tempfile import TemporaryDirectory

    try:
        with TemporaryDirectory(prefix="do-tasks-", ignore_cleanup_errors=True) as folder:
            return _tried(tried, os.path.realpath(folder))
    except OSError as error:
        return f"it cannot be tried: {error.strerror}"
    except MachineError as error:
        return str(error)


def _tried(tried: Containment, folder: str) -> str:
    root = files.private_folder(os.path.join(folder, "project"))
    scratch = os.path.join(root, OURS, "scratch")
    argv = contained(tried, ("/bin/sh", "-c", PROBE), root=root, scratch=scratch, home="")
    said = _output(argv, token=f"sandbox/probe.{os.getpid()}")
    if os.path.exists(os.path.join(folder, "outside")):
        return "a write outside the project went through"
    within = (os.path.join(root, "inside"), os.path.join(scratch, "tmp", "inside"))
    return "" if all(map(os.path.exists, within)) else said or "it said nothing and ran nothing"


def _output(argv: tuple[str, ...], *, token: str) -> str:
    """Return the first line that a program says in its time."""
    watch = Watch(Interrupts())
    watch.add(proc.start(proc.Command(name="bwrap", argv=argv, env={}, token=token, limit_s=PROBE_S)))
    ended: list[proc.Ended] = []
    while not ended:
        ended = watch.turn()
    lines = clean_control(ended[0].output.decode("utf-8", "replace")).split("\n")
    return ended[0].reason or next(filter(None, lines), "")[:200]


def contained(  # noqa: PLR0913 - a shell is held in by all of these
    containment: Containment,
    argv: tuple[str, ...],
    *,
    root: str,
    scratch: str,
    home: str,
    read_only: Iterable[str] = (),
    writable: Iterable[str] = (),
    keep: Iterable[str] = (),
) -> tuple[str, ...]:
    """Return how to start `argv` held in; as it is when nothing holds. The caller starts it from its main thread.

    `scratch` is a folder of the run below the project's own folder; what stands beside it must not be the shell's.
    `read_only` names paths of the project; `writable` and `keep` are absolute, the latter stay visible under /tmp.
    MachineError when the scratch folder is not a real folder there.
    """
    if containment.kind == "none":
        return argv
    root = os.path.realpath(root)
    scratch = _real_scratch(root, scratch)
    hidden = _hidden(home, root, empty=os.path.join(os.path.dirname(scratch), "empty"))
    base = _base(scratch, network=containment.network)
    veils = {place for place, words in (*base.items(), *hidden.items()) if words[0] != "--ro-bind"} - {"/"}
    jealous = _read_only(root, (*RECORDS, *_git_file(root), *read_only, PACKAGE, containment.program))
    mounts = {
        **_pins(root, jealous),
        **{path: ("--ro-bind", path, path) for path in jealous},
        **hidden,
        **base,
        **_kept(keep, root, veils),
        **_writable(writable, root),
        root: ("--bind", root, root),
        scratch: ("--bind", scratch, scratch),
        # Pinned: else a link in its place would be what the next command finds at /tmp.
        os.path.join(scratch, "tmp"): ("--bind", os.path.join(scratch, "tmp"), os.path.join(scratch, "tmp")),
    }
    words = [word for place in sorted(mounts, key=_depth) for word in mounts[place]]
    return (containment.program, *words, *_namespaces(network=containment.network), "--chdir", root, "--", *argv)


def _depth(place: str) -> int:
    """A place is mounted after those above it, which would else cover it."""
    return place.rstrip("/").count("/")


def _namespaces(*, network: bool) -> tuple[str, ...]:
    return (
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *(() if network else ("--unshare-net",)),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--setenv", "TMPDIR", TMP),
    )


def _real_scratch(root: str, scratch: str) -> str:
    """Return the scratch folder, with its tmp, as it really is: a link would hand out what it leads to."""
    files.private_folder(os.path.join(scratch, "tmp"))
    real = os.path.realpath(scratch)
    if not _below(real, os.path.join(root, OURS)) or os.path.islink(os.path.join(real, "tmp")):
        raise MachineError(
            f"{scratch} is not a folder below {os.path.join(root, OURS)}: a link is in the way; remove it, then go on"
        )
    return real


def _base(scratch: str, *, network: bool) -> Mounts:
    mounts: Mounts = {
        "/": ("--ro-bind", "/", "/"),
        "/dev": ("--dev", "/dev"),
        "/proc": ("--proc", "/proc"),
        **{path: ("--ro-bind", path, path) for path in KERNEL if os.path.exists(path)},
        **{path: ("--tmpfs", path) for path in VOLATILE if _is_folder(path)},
        os.path.realpath(TMP): ("--bind", os.path.join(scratch, "tmp"), os.path.realpath(TMP)),
        **{path: ("--ro-bind", os.path.realpath(path), path) for path in NIX if os.path.exists(path)},
    }
    for name in os.listdir("/dev"):
        if name.startswith(GPUS):
            mounts[f"/dev/{name}"] = ("--dev-bind-try", f"/dev/{name}", f"/dev/{name}")
    resolver = os.path.realpath("/etc/resolv.conf")
    if network and _below(resolver, "/run") and os.path.isfile(resolver):
        mounts[resolver] = ("--ro-bind", resolver, resolver)
    return mounts


def _hidden(home: str, root: str, *, empty: str) -> Mounts:
    """Return what covers the secrets of a home: an empty folder or file, for one without rights breaks programs."""
    mounts: Mounts = {}
    for name in SECRETS if os.path.isabs(home) else ():
        real = os.path.realpath(os.path.join(home, name))
        if real == root or _within(os.path.realpath(home), real):
            continue
        if os.path.isdir(real):
            mounts[real] = ("--tmpfs", real)
        elif os.path.isfile(real):
            mounts[real] = ("--ro-bind", empty, real)
    if mounts and (not os.path.isfile(empty) or os.path.getsize(empty)):
        files.replace(empty, b"", mode=0o400)
    return mounts


def _git_file(root: str) -> tuple[str, ...]:
    """A worktree's .git is a file that says where its hooks are."""
    return (".git",) if os.path.isfile(os.path.join(root, ".git")) else ()


def _read_only(root: str, paths: Iterable[str]) -> list[str]:
    """Return those that are in the project, without those that lie in another one of them."""
    named = (os.path.join(root, path.removesuffix("/**")) for path in paths if path)
    found = {real for real in map(os.path.realpath, named) if _below(real, root) and os.path.exists(real)}
    return [path for path in sorted(found) if not any(_below(path, other) for other in found)]


def _pins(root: str, paths: Iterable[str]) -> Mounts:
    """Return mounts of the folders between the project and these: a folder that is one cannot be moved away."""
    folders = {folder for path in paths for folder in _above(path, root)}
    return {folder: ("--bind", folder, folder) for folder in folders}


def _above(path: str, root: str) -> Iterator[str]:
    folder = os.path.dirname(path)
    while _below(folder, root):
        yield folder
        folder = os.path.dirname(folder)


def _kept(keep: Iterable[str], root: str, veils: Iterable[str]) -> Mounts:
    """Return what lies under a veil and must be seen; the project itself is seen as it is."""
    places = {_place(path): path for path in filter(os.path.isabs, keep) if os.path.exists(path)}
    return {
        place: ("--ro-bind", path, place)
        for place, path in places.items()
        if not _within(place, root) and any(_below(place, veil) for veil in veils)
    }


def _writable(paths: Iterable[str], root: str) -> Mounts:
    """Return what may be written beside the project; a path inside it could be a link that the shell made."""
    outside = [path for path in filter(os.path.isabs, paths) if not _within(_place(path), root)]
    real = [path for path in map(os.path.realpath, outside) if os.path.exists(path) and not _within(path, root)]
    return {path: ("--bind", path, path) for path in real}


def _place(path: str) -> str:
    """Return where a path stands, itself not followed."""
    folder, name = os.path.split(os.path.normpath(path))
    return os.path.join(os.path.realpath(folder), name)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _within(path: str, folder: str) -> bool:
    return path == folder or _below(path, folder)


def _below(path: str, folder: str) -> bool:
    """Tell whether a path lies in a folder, by its words alone."""
    return path != folder and path.startswith(os.path.join(folder, ""))
