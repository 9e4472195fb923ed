"""Checks of the machine: disk, GPUs, ports and addresses."""

from __future__ import annotations

import os
import time

from executor.checks.fresh_files import number, octets, seconds, whole, words
from executor.checks.project_worker import UnmetError, asked, no, text, yes
from executor.system.folders import expand_home
from executor.system.records import TYPE_CHECKING
from executor.system.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from executor.checks.project_worker import Answer

BLOCK = 1 << 20
GB = 10**9
PORTS = range(1, 65536)
CARD = "index,memory.free,utilization.gpu"


def disk_free(asks: Any) -> Answer:
    """Asks: GB, or path, min_gb; free means free for this user, with a real write."""
    fields = asked(asks, "min_gb", ("path", "min_gb"))
    path, least = text(fields, "path", "."), octets(fields, "min_gb", unit=GB) / GB
    expected = f"{least:g} GB free and writable in {path}"
    try:
        space = os.statvfs(expand_home(path))
        probe(expand_home(path))
    except OSError as error:
        return no(expected, words(error), f"make {path} a directory with room that you may write to")
    free = space.f_bavail * space.f_frsize / GB
    if free < least:
        return no(expected, f"{free:.1f} GB free", f"free {least - free:.1f} GB in {path}, or name another path")
    return yes(expected, f"{free:.1f} GB free, 4 KiB written")


def probe(folder: str) -> None:
    """Write and sync 4 KiB in a file that loses its name at once, so that nothing is ever left behind."""
    path = os.path.join(folder, f".do-tasks-probe-{os.getpid()}-{time.time_ns()}")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.unlink(path)
        left = bytes(4096)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def gpu_free(asks: Any) -> Answer:
    """Asks: GB, or min_gb, count, max_utilization (percent)."""
    bare = asks is None or asks is True
    fields = asked({} if bare else asks, "min_gb", ("min_gb", "count", "max_utilization"))
    least, most = octets(fields, "min_gb", unit=GB) / GB, number(fields, "max_utilization", 100)
    wanted = whole(fields, "count", 1)
    expected = f"{counted(wanted, 'GPU')} with {least:g} GB free, {most:g} % busy at most"
    cards = gpus(expected)
    good = [card for card in cards if card[1] >= least and (card[2] <= most or "max_utilization" not in fields)]
    got = "; ".join(f"GPU {name}: {free:.1f} GB free, {busy:g} % busy" for name, free, busy in cards) or "no GPU"
    if len(good) >= wanted:
        return yes(expected, got)
    return no(expected, got, "stop what holds the GPU (nvidia-smi shows it), or ask for less")


def gpus(expected: str) -> list[tuple[str, float, float]]:
    """Return index, free GB, percent busy of each card that nvidia-smi shows; NaN for an unknown figure."""
    import subprocess

    query = ["nvidia-smi", f"--query-gpu={CARD}", "--format=csv,noheader,nounits"]
    try:
        run = subprocess.run(query, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    except FileNotFoundError:
        raise UnmetError(expected, "nvidia-smi not found", "run on a machine with an NVIDIA GPU and driver") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnmetError(expected, f"nvidia-smi: {words(error)}", "run nvidia-smi by hand") from None
    output = run.stdout.decode("utf-8", "replace")
    if run.returncode:
        last_line = (output + run.stderr.decode("utf-8", "replace")).strip().split("\n")[-1]
        raise UnmetError(
            expected, f"nvidia-smi: exit {run.returncode}: {last_line}", "mend the driver: run nvidia-smi by hand"
        )
    cards = [row.split(",") for row in output.splitlines() if row.count(",") == CARD.count(",")]
    return [(name.strip(), figure(free) * 2**20 / GB, figure(busy)) for name, free, busy in cards]


def figure(value: Any) -> float:
    """Return a number; NaN for what is none."""
    try:
        return float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def port(asks: Any) -> Answer:
    """Asks: a number, or host, port, state (open, free)."""
    fields = asked(asks, "port", ("host", "port", "state"))
    host, place, state = text(fields, "host", "127.0.0.1"), whole(fields, "port"), text(fields, "state", "open")
    expected = f"{host}:{place} {state}"
    if state not in STATES or place not in PORTS:
        return no("a port from 1 to 65535, open or free", expected, "correct the check in the definitions")
    attempt, got, fix = STATES[state]
    try:
        attempt(host, place)
    except OSError as error:
        return no(expected, words(error), fix)
    return yes(expected, got)


def reach(host: str, place: int) -> None:
    import socket

    socket.create_connection((host, place), timeout=3).close()


def claim(host: str, place: int) -> None:
    import socket

    family, kind, protocol, _, address = socket.getaddrinfo(host, place, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as claimed:
        claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a connection closed a minute ago counts
        claimed.bind(address)


STATES: dict[str, tuple[Callable[[str, int], None], str, str]] = {
    "open": (reach, "it answers", "start what should listen there, or correct host or port"),
    "free": (claim, "free", "stop what listens there, or choose another port"),
}


def url(asks: Any) -> Answer:
    """Asks: an address, or url, status, contains, timeout (s); no message has a secret part of the address."""
    fields = asked(asks, "url", ("url", "status", "contains", "timeout"))
    address, sought = text(fields, "url"), str(fields.get("contains", ""))
    wanted, limit_s = whole(fields, "status", 200), seconds(fields, "timeout", 10)
    expected = f"status {wanted} from {shown(address)}" + f" with {sought!r}" * bool(sought)
    try:
        status, body = fetched(address, limit_s)
    except OSError as error:  # any other message may quote the address, so only its type is shown
        reason = getattr(error, "reason", error)
        reason_text = words(reason) if isinstance(reason, OSError) else type(error).__name__
        return no(expected, reason_text, "start the server, or correct the address")
    except Exception as error:  # noqa: BLE001 - as above
        return no(expected, type(error).__name__, "correct the address: http or https, no blanks in it")
    if status != wanted:
        return no(expected, f"status {status}", "correct the address or its key, or ask for that status")
    if sought not in body:
        return no(expected, f"status {status}, not in its {counted(len(body), 'character')}", "look at what it answers")
    return yes(expected, f"status {status}")


def shown(address: str) -> str:
    """Return an address without its user, password or the values of its query."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(address)
        torn = parts.port is not None and "@" in parts.path  # a slash in the password
    except ValueError:
        return "the url"
    pairs = [pair.partition("=") for pair in parts.query.split("&")]
    query = "?" + "&".join(f"{name}=***" if equals else "***" for name, equals, _ in pairs)
    plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return "the url" if torn else plain + query * bool(parts.query)


def fetched(address: str, limit_s: float) -> tuple[int, str]:
    """Return status and body, 1 MiB at most; redirects are followed, a user in the address is sent as such."""
    from base64 import b64encode
    from urllib.error import HTTPError
    from urllib.parse import unquote, urlsplit
    from urllib.request import ProxyHandler, Request, build_opener

    parts = urlsplit(address)
    user, at, server = parts.netloc.rpartition("@")
    if parts.scheme not in ("http", "https"):
        raise ValueError("neither http nor https")
    request = Request(  # noqa: S310 - the scheme was just looked at
        parts._replace(netloc=server, fragment="").geturl(), headers={"User-Agent": "do-tasks"}
    )
    if at:  # unredirected: another server must not see it
        request.add_unredirected_header("Authorization", "Basic " + b64encode(unquote(user).encode()).decode())
    host = parts.hostname or ""
    loopback = host in ("localhost", "::1") or host.startswith("127.")
    try:
        with build_opener(*[ProxyHandler({})] * loopback).open(request, timeout=limit_s) as reply:
            return reply.status, reply.read(BLOCK).decode("utf-8", "replace")
    except HTTPError as reply:
        with reply:
            return reply.code, reply.read(BLOCK).decode("utf-8", "replace")
