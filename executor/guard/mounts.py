"""The command line of bubblewrap: the paths that a command sees, and those that it may write."""

from __future__ import annotations

import fnmatch
import os

from executor.errors import MachineError
from executor.guard import home_view
from executor.guard.file_state import is_below, is_within, is_within_any
from executor.system import files, installation
from executor.system.folders import is_real_folder
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Mounts = dict[str, tuple[str, ...]]

# Read-only inside the project: the records of the work, and files that others run later.
RECORDS = (files.STATE_FOLDER, ".task_execution.log", ".git/hooks", ".git/config", ".claude")
GPUS = ("nvidia", "kfd", "dri", "dxg")
# Root may write these without any capability; bwrap covers them for other users only.
KERNEL = ("/proc/sys", "/proc/sysrq-trigger", "/proc/mtrr", "/proc/irq", "/proc/bus")
TMP = "/tmp"  # noqa: S108 - the folder that others share is hidden from the shell
SOCKET_FOLDERS = ("/run", "/var/run")  # docker, dbus and others listen there
VOLATILE = (*SOCKET_FOLDERS, "/var/tmp")  # noqa: S108 - as above
NIX = ("/run/current-system", "/run/opengl-driver")
# Hidden in a home that is the project too.
SECRETS = (
    *(".ssh", ".gnupg", ".password-store", ".local/share/keyrings", ".age", ".vault-token", ".config"),
    *(".aws", ".azure", ".kube", ".docker", ".oci", ".boto", ".s3cfg", ".databrickscfg", ".modal.toml"),
    *(".git-credentials", ".netrc", ".pypirc", ".npmrc", ".cargo/credentials", ".cargo/credentials.toml"),
    *(".pgpass", ".my.cnf", ".kaggle", ".comet.config", ".netlify", ".vast_api_key", ".runpod", ".terraform.d"),
    *(".huggingface", ".cache/huggingface/token", ".cache/huggingface/stored_tokens", ".tinker", ".m2/settings.xml"),
    *(".claude", ".claude.json", ".anthropic", ".codex", ".gemini", ".openai", ".mozilla", ".gem", ".gitconfig"),
    *(".profile", ".bash*", ".zsh*", ".*_history", ".pam_environment", ".xsession*", ".Xauthority", ".local/share/uv"),
)


class Containment(Record):
    """The containment of a shell: `kind` is bubblewrap, claude-code (its own) or none, `why` is the reason for none.

    `program` is the path of bwrap.
    """

    kind: str = "none"
    network: bool = True
    why: str = ""
    program: str = ""

    @property
    def words(self) -> str:
        """The containment in one line for a person."""
        if self.kind == "none":
            return f"none{self.why and f' ({self.why})'}: the shell can do what you can"
        network = "network shared" if self.network else "no network"
        name = "Claude Code's own sandbox" if self.kind == "claude-code" else self.kind
        return f"{name}: the project writable, the rest read-only, {network}"


class View(Record):
    """The view of a contained command, as absolute paths.

    `private`: homes show the allow list only, /tmp is its own, sockets are out of reach; else all is visible. `read`
    is visible anyway, `hidden` are files of the project that read as empty, `sockets` lead nowhere.
    """

    private: bool = True
    read: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()


def contained_argv(  # noqa: PLR0913 - keywords, one a kind of path
    containment: Containment,
    argv: tuple[str, ...],
    *,
    root: str,
    scratch: str,
    home: str,
    read_only: Iterable[str] = (),
    keep: Iterable[str] = (),
    sight: View | None = None,
) -> tuple[str, ...]:
    """Return the contained command line of `argv`, or `argv` without containment; start it from the main thread.

    `scratch` is a folder of the run, below .do-tasks; the shell must not write beside it. `read_only` are paths of the
    project; `writable` and `keep` are absolute, the latter stay visible in a home or under /tmp. MachineError when the
    scratch folder is not a real folder there.
    """
    if containment.kind == "none":
        return argv
    sight = sight or View()
    root = os.path.realpath(root)
    scratch = _real_scratch(root, scratch)
    inner = (*RECORDS, *_git_file(root), *read_only, installation.PACKAGE_FOLDER, containment.program)
    hidden = [path for path in map(os.path.realpath, sight.hidden) if is_below(path, root) and os.path.exists(path)]
    mounts = {
        **_inside(root, _read_only(root, inner), pinned=hidden),
        **_around(scratch, root, home, keep=keep, sight=sight, network=containment.network),
        root: ("--bind", root, root),
        scratch: ("--bind", scratch, scratch),
        # A mount of its own: a link in its place would be /tmp of the next command.
        os.path.join(scratch, "tmp"): ("--bind", os.path.join(scratch, "tmp"), os.path.join(scratch, "tmp")),
    }
    words = [word for place in sorted(mounts, key=_depth) for word in mounts[place]]
    return (containment.program, *words, *_namespaces(network=containment.network), "--chdir", root, "--", *argv)


def _inside(root: str, read_only: list[str], *, pinned: list[str]) -> Mounts:
    """Return the mounts in the project; the folders above these paths cannot be renamed."""
    above = {folder for path in (*read_only, *pinned) for folder in _above(path, root)}
    pins: Mounts = {folder: ("--bind", folder, folder) for folder in above}
    return {**pins, **{path: ("--ro-bind", path, path) for path in read_only}}


def _around(scratch: str, root: str, home: str, *, keep: Iterable[str], sight: View, network: bool) -> Mounts:
    """Return the mounts around the project, and those that hide files in it."""
    empty = _empty(os.path.join(os.path.dirname(scratch), "empty"))
    base = _base(scratch, network=network, private=sight.private)
    homes = home_view.homes(home) if sight.private else ()
    emptied = [one for one in homes if not is_within(one, root)]
    base |= {one: ("--tmpfs", one) for one in emptied}
    links = home_view.home_links(home) if emptied else {}
    veils = {place for place, words in base.items() if words[0] != "--ro-bind"} - {"/"}
    kept = _kept((*keep, *sight.read), root, veils, whole=sight.read)
    kept |= {path: ("--ro-bind", path, path) for one in emptied for path in home_view.allowed_paths(one)}
    hidden = _covered(_secret_paths(home, homes, kept, root, sight), empty)
    relinked = {place: ("--symlink", target, place) for place, target in links.items()}
    return {**hidden, **_silenced_sockets(sight.sockets, root, veils), **base, **relinked, **kept}


def _depth(place: str) -> int:
    """Return the depth of a place: one is mounted after those above it, which would cover it."""
    return place.rstrip("/").count("/")


def _namespaces(*, network: bool) -> tuple[str, ...]:
    return (
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *(() if network else ("--unshare-net",)),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--setenv", "TMPDIR", TMP),
    )


def _real_scratch(root: str, scratch: str) -> str:
    """Return the real path of the scratch folder, with its tmp; a link would expose its target."""
    files.private_folder(os.path.join(scratch, "tmp"))
    real, above = os.path.realpath(scratch), os.path.join(root, files.STATE_FOLDER)
    if not is_below(real, above) or os.path.islink(os.path.join(real, "tmp")):
        raise MachineError(f"{scratch} is not a folder below {above}: a link is in the way; remove it, then go on")
    return real


def _empty(path: str) -> str:
    """Return an empty file, made where there is none: a hidden file reads as this."""
    if not os.path.isfile(path) or os.path.islink(path) or os.path.getsize(path):
        files.replace(path, b"", mode=0o400)
    return path


def _base(scratch: str, *, network: bool, private: bool) -> Mounts:
    tmp = os.path.realpath(TMP)
    shared = {path: ("--bind", path, path) for path in ("/var/tmp", tmp) if is_real_folder(path)}  # noqa: S108 - visible as it is
    own: Mounts = {tmp: ("--bind", os.path.join(scratch, "tmp"), tmp)}
    mounts: Mounts = {
        "/": ("--ro-bind", "/", "/"),
        "/dev": ("--dev", "/dev"),
        "/proc": ("--proc", "/proc"),
        **{path: ("--ro-bind", path, path) for path in KERNEL if os.path.exists(path)},
        **{path: ("--tmpfs", path) for path in (VOLATILE if private else SOCKET_FOLDERS) if is_real_folder(path)},
        **(own if private else shared),
        **{path: ("--ro-bind", os.path.realpath(path), path) for path in NIX if os.path.exists(path)},
    }
    for name in os.listdir("/dev"):
        if name.startswith(GPUS):
            mounts[f"/dev/{name}"] = ("--dev-bind-try", f"/dev/{name}", f"/dev/{name}")
    resolver = os.path.realpath("/etc/resolv.conf")
    if network and is_below(resolver, "/run") and os.path.isfile(resolver):
        mounts[resolver] = ("--ro-bind", resolver, resolver)
    return mounts


def _secret_paths(home: str, homes: Iterable[str], kept: Iterable[str], root: str, sight: View) -> Iterator[str]:
    """Yield the paths that must read as empty: tokens beside a cache, `.env`, secrets of a home in the project."""
    places = [*homes, *([home] if os.path.isabs(home) and sight.private else [])]
    places += [root] if sight.private and os.path.dirname(root) == home_view.HOMES else []
    shown = [path for path in kept if any(is_below(path, one) for one in places)]
    found = [file for folder in shown for file in home_view.token_files(folder)]
    inside = {os.path.realpath(one) for one in places}
    for one in inside:
        if is_within(one, root) or not home_view.can_be_hidden(one):
            found += [path for name in SECRETS for path in _matching(one, name)]
    read = [os.path.realpath(one) for one in sight.read]
    asked = [path for path in map(os.path.realpath, found) if not is_within_any(path, read)]
    for path in (*asked, *map(os.path.realpath, sight.hidden)):
        if not any(is_within(one, path) for one in (root, *inside)):
            yield path


def _matching(home: str, name: str) -> list[str]:
    if "*" not in name:
        return [os.path.join(home, name)]
    try:
        return [os.path.join(home, one) for one in os.listdir(home) if fnmatch.fnmatchcase(one, name)]
    except OSError:
        return []


def _covered(paths: Iterable[str], empty: str) -> Mounts:
    """Return an empty folder or file over each path: one without rights breaks programs."""
    mounts: Mounts = {}
    for path in paths:
        if os.path.isdir(path):
            mounts[path] = ("--tmpfs", path)
        elif os.path.isfile(path):
            mounts[path] = ("--ro-bind", empty, path)
    return mounts


def _silenced_sockets(sockets: Iterable[str], root: str, veils: Iterable[str]) -> Mounts:
    """Return mounts of /dev/null over the sockets that a command would see."""
    seen = (one for one in sockets if is_below(one, root) or not any(is_below(one, veil) for veil in veils))
    return {one: ("--ro-bind", "/dev/null", one) for one in seen if os.path.exists(one)}


def _git_file(root: str) -> tuple[str, ...]:
    """Return the .git file of a worktree, which names the folder of its hooks."""
    return (".git",) if os.path.isfile(os.path.join(root, ".git")) else ()


def _read_only(root: str, paths: Iterable[str]) -> list[str]:
    """Return the paths that are in the project and in no other one of them."""
    named = (os.path.join(root, path.removesuffix("/**")) for path in paths if path)
    found = {real for real in map(os.path.realpath, named) if is_below(real, root) and os.path.exists(real)}
    return [path for path in sorted(found) if not any(is_below(path, other) for other in found)]


def _above(path: str, root: str) -> Iterator[str]:
    folder = os.path.dirname(path)
    while is_below(folder, root):
        yield folder
        folder = os.path.dirname(folder)


def _kept(keep: Iterable[str], root: str, veils: Iterable[str], whole: Iterable[str]) -> Mounts:
    """Return mounts of the paths under an emptied folder (`veils`) that stay visible; the project is visible anyway.

    Of a folder that is emptied, or has an emptied one in it, only the parts of an environment are shown.
    """
    asked = [path for path in filter(os.path.isabs, keep) if os.path.exists(path)]
    parts = [part for path in asked for part in _parts(path, veils, whole=path in whole)]
    places = {_real_path(path): path for path in parts if os.path.exists(path)}
    return {
        place: ("--ro-bind", path, place)
        for place, path in places.items()
        if not is_within(place, root) and any(is_below(place, veil) for veil in veils)
    }


def _parts(path: str, veils: Iterable[str], *, whole: bool) -> list[str]:
    place = _real_path(path)
    if whole or not any(is_within(veil, place) for veil in veils):
        return [path]
    return [os.path.join(path, name) for name in home_view.BESIDE_BIN]


def _real_path(path: str) -> str:
    """Return the real path of a path, itself not followed."""
    folder, name = os.path.split(os.path.normpath(path))
    return os.path.join(os.path.realpath(folder), name)
