"""Choose the Tinker service of a script: the real one, or the local one on this machine."""

from __future__ import annotations

import atexit
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from common.errors import Trouble

if TYPE_CHECKING:
    import tinker

    from tinker_local.server import Address

LOOPBACK = "127.0.0.1"
EXTRA = "pip install -c constraints.txt torch==2.13.0 -r requirements/demo.txt"


def service_client(
    access: str = "", *, threads: int = 1, precision: str = "float32", **wanted: Any
) -> tinker.ServiceClient:
    """Return a client of `base_url`, TINKER_BASE_URL or the real service (with credentials), else of the local one.

    `access` is a profile's word: `none` leaves credentials alone, `tinker` is Trouble without any. A real key is never
    sent to the local service, whose own key is given as an argument; `threads` and
    `precision` are those of one that is started here.
    """
    import tinker

    real = is_real(access) or bool(wanted.get("base_url"))
    if access == "tinker" and not real:
        raise Trouble("no key: set TINKER_API_KEY, or use --profile local")
    if real:
        return tinker.ServiceClient(**wanted)
    os.environ.setdefault("TINKER_TELEMETRY", "0")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    found = local(threads, precision)
    go_directly()
    return tinker.ServiceClient(**{**wanted, "base_url": found.url, "api_key": found.token})


def go_directly() -> None:
    """Exclude the loopback address from proxies, which would never answer."""
    for name in ("NO_PROXY", "no_proxy"):
        passed = [one for one in os.environ.get(name, "").split(",") if one]
        if LOOPBACK not in passed:
            os.environ[name] = ",".join([*passed, LOOPBACK])


def is_real(access: str = "") -> bool:
    """Return True if TINKER_BASE_URL is set, or credentials exist and `access` is not `none`."""
    from tinker.auth import tinker_has_credentials

    return bool(os.environ.get("TINKER_BASE_URL")) or (access != "none" and bool(tinker_has_credentials()))


def where() -> str:
    """Return the name of the service that a script uses."""
    if is_real():
        return os.environ.get("TINKER_BASE_URL") or "the Tinker service"
    return f"the local service at {local().url}"


@cache
def local(threads: int = 1, precision: str = "float32") -> Address:
    """Return the local service: a running one, else one inside this process, started once."""
    from tinker_local import server

    found = server.running(server.STATE)
    return found or embedded(threads, precision)


def embedded(threads: int = 1, precision: str = "float32") -> Address:
    """Start the service in a thread of this process; it ends with the process."""
    from tinker_local import server

    try:
        from tinker_local.engine import TorchEngine

        service = server.Embedded(TorchEngine(threads=threads, precision=precision), server.STATE)
    except ImportError as error:
        raise Trouble(f"the local service cannot start ({error}): {EXTRA}") from error
    atexit.register(service.close)
    return service.address
