"""Step 1: show that the SDK is the pinned one, and that the service which the profile wants answers.

    python scripts/01_test_auth.py [--test] [--profile tinker] [key=value ...]

Profile `local` needs no service and no key. Profile `tinker` asks the service at TINKER_BASE_URL (the SDK's default
when unset) for its models, with the key that the SDK finds; the key is never printed. It fails when the service does
not list the models of teacher and student, as services retire models, and prints what later steps are billed for.
"""

from __future__ import annotations

import difflib
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import files
from common.errors import RETRY_LATER, Trouble
from common.stage import Criterion, Report, Stage, run
from distillation import pins

if TYPE_CHECKING:
    from collections.abc import Callable

NO_ACCESS = "none, local profile"
BILLED = (
    "billed by the service: step 6 two answers; 8 {train} answers; 12 and 13 the teacher's distributions and the "
    "training; 14 to 18 held-out answers and their scores; 19 the download, which opens a training session; and the "
    "storage of checkpoints. Steps 8 and 13 print their tokens before they begin"
)
WITH_A_SERVICE = ("API key validated", "Authentication successful")


@dataclass(frozen=True)
class Access:
    """The access of this machine; `models` are the names that the service offers."""

    sdk: str
    pin: str
    service_client: bool
    has_credentials: bool
    access: str
    models: tuple[str, ...] = ()


def test_auth(stage: Stage) -> Report:
    """Import the SDK, compare its version, ask the service when the profile has one."""
    tinker = import_sdk()
    pin = pins.read(Path(stage.settings.constraints)).get("tinker", "")
    criteria = [
        Criterion("The SDK is the pinned one", tinker.__version__ == pin, f"tinker {tinker.__version__}, pin {pin}"),
        Criterion("The SDK has its entry point", hasattr(tinker, "ServiceClient"), "tinker.ServiceClient"),
    ]
    has_credentials = bool(tinker.auth.tinker_has_credentials())
    if stage.settings.access.service == "none":
        answer = Answer(validated=True, evidence=NO_ACCESS)
    else:
        answer = ask(tinker, stage.settings.access.limit_s, has_credentials=has_credentials)
        criteria += [Criterion(text, answer.validated, answer.evidence) for text in WITH_A_SERVICE]
        criteria += [Criterion("The models are served", *served(stage, answer))]
        print(BILLED.format_map(vars(stage.settings.questions)), flush=True)
    criteria.append(Criterion("Access is what the profile needs", answer.validated, f"access: {answer.evidence}"))
    path = stage.output("access.json")
    entry = hasattr(tinker, "ServiceClient")
    found = Access(tinker.__version__, pin, entry, has_credentials, answer.evidence, answer.models)
    files.write_json(path, asdict(found))
    note = f"access: {answer.evidence}" + ("; a key is here, this profile leaves it alone" * unused(stage, found))
    return Report(criteria, {"models": len(answer.models)}, note, [Path(stage.settings.constraints)], [path])


def served(stage: Stage, answer: Answer) -> tuple[bool, str]:
    """Return True with the models of teacher and student if the service lists them, else False with what it lists."""
    wanted = {stage.settings.teacher.model, stage.settings.training.student or stage.settings.teacher.model}
    missing = sorted(wanted - set(answer.models))
    if not missing:
        return True, ", ".join(sorted(wanted))
    near = difflib.get_close_matches(missing[0], answer.models, n=3, cutoff=0.3) or answer.models[:3]
    others = f"it lists {', '.join(near)}" if near else "it lists none"
    return (
        False,
        f"the service does not list {missing[0]}; {others}: set teacher.model=NAME (outputs/access.json has all)",
    )


def unused(stage: Stage, found: Access) -> bool:
    """Return True if a key is present that the profile does not use."""
    return found.has_credentials and stage.settings.access.service == "none"


def import_sdk() -> Any:
    """Import tinker; takes two seconds."""
    os.environ.setdefault("TINKER_TELEMETRY", "0")
    try:
        import tinker
    except ImportError as error:
        raise Trouble(f"tinker does not import ({error}): pip install -c constraints.txt tinker") from error
    return tinker


@dataclass(frozen=True)
class Answer:
    """The answer of the service."""

    validated: bool
    evidence: str
    models: tuple[str, ...] = ()


def ask(tinker: Any, limit_s: float, *, has_credentials: bool) -> Answer:
    """Ask the service once whether it accepts the key, then for its models."""
    if not has_credentials:
        return Answer(validated=False, evidence="no key: set TINKER_API_KEY, or use --profile local")
    where = os.environ.get("TINKER_BASE_URL") or "the service"
    try:
        within(tinker.auth.raise_if_tinker_not_accessible, limit_s)
        offered = within(lambda: tinker.RestClient().get_server_capabilities().result(timeout=limit_s), limit_s)
    except tinker.AuthenticationError as error:
        return Answer(validated=False, evidence=f"{where} refused the key ({one_line(error)}): check TINKER_API_KEY")
    except tinker.BillingError as error:
        return Answer(validated=False, evidence=f"{where} wants billing set up ({one_line(error)})")
    except (tinker.APIConnectionError, TimeoutError) as error:
        raise Trouble(f"no answer from {where} within {limit_s:g} s ({one_line(error)})", RETRY_LATER) from error
    except tinker.TinkerError as error:
        return Answer(validated=False, evidence=f"{where}: {one_line(error)}")
    models = tuple(sorted(str(model.model_name) for model in offered.supported_models))
    return Answer(validated=True, evidence=f"{where} answered with {len(models)} models", models=models)


def within(question: Callable[[], Any], limit_s: float) -> Any:
    """Return the answer, or raise what it raised, or TimeoutError; a late thread cannot hold the exit."""
    answers: list[Any] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(question())
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(limit_s)
    if failures:
        raise failures[0]
    if not answers:
        raise TimeoutError("time is up")
    return answers[0]


def one_line(error: BaseException) -> str:
    """Return an error as one short line, without the key."""
    message = " ".join(str(error).split()) or type(error).__name__
    key = os.environ.get("TINKER_API_KEY", "")
    return (message.replace(key, "***") if key else message)[:160]


if __name__ == "__main__":
    run("01_test_auth", test_auth, __doc__)
