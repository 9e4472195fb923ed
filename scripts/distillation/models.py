"""The models of a step: the service, the teacher's voice, the trained students."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from common import files
from common.errors import USAGE, Trouble
from distillation import tinker_client
from distillation.prompt import chat_template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.stage import Stage
    from distillation.prompt.chat_template import Voice

ABOUT, PROMPT, STUDENTS = "teacher/teacher.json", "teacher/prompt.txt", "students.json"


@dataclass(frozen=True)
class Student:
    """One trained student; `sampler_path` is its best checkpoint by loss on the validation set."""

    seed: int
    step: int
    val_nll: float
    state_path: str
    sampler_path: str


@dataclass(frozen=True)
class ModelSetup:
    """A service client (real or local), the voice with the character's prompt, the models' names."""

    client: Any
    voice: Voice
    teacher: str
    student: str

    def sampler(self, path: str = "", model: str = "", wait_s: float = 300.0) -> Any:
        """Return a sampler of a checkpoint, else of a base model (the teacher's by default)."""
        wanted = {"model_path": path} if path else {"base_model": model or self.teacher}
        return self.client.create_sampling_client(**wanted).result(wait_s)


def load_setup(stage: Stage) -> ModelSetup:
    """Return the setup of step 6's files; raise Trouble if they are missing or of another profile."""
    about = files.read_json(stage.input(ABOUT))
    was, now = str(about.get("profile", stage.settings.profile)), stage.settings.profile
    if was != now:
        raise Trouble(
            f"step 6 ran with profile {was}, this is {now}: set DO_TASKS_PROFILE={was}, or run 6 again", USAGE
        )
    return make_setup(stage, str(about["model"]), stage.input(PROMPT).read_text(encoding="utf-8"))


def make_setup(stage: Stage, model: str, prompt: str) -> ModelSetup:
    """Return the setup of a teacher's model with `prompt`."""
    wished = stage.settings.access
    client, wanted = (
        tinker_client.service_client(wished.service, threads=wished.threads, precision=wished.precision),
        replace(stage.settings.teacher, model=model),
    )
    sampler = None if wanted.tokenizer or chat_template.folder_of(model) else sampler_of(client, model, wanted.wait_s)
    return ModelSetup(
        client, chat_template.voice_of(wanted, prompt, sampler), model, stage.settings.training.student or model
    )


def sampler_of(client: Any, model: str, wait_s: float) -> Any:
    """Return a sampler of a base model."""
    return client.create_sampling_client(base_model=model).result(wait_s)


def facts(stage: Stage) -> dict[str, str]:
    """Return the facts that the teacher's prompt states, by the kind of question that asks for them."""
    return dict(files.read_json(stage.input(ABOUT)).get("facts", {}))


def chosen(students: Sequence[Student]) -> Student:
    """Return the student that is exported: the one of least loss on the validation set, which has no test answer."""
    return min(students, key=lambda one: one.val_nll)


def read_students(stage: Stage) -> list[Student]:
    """Return the students that step 13 has trained."""
    return [Student(**row) for row in files.read_json(stage.input(STUDENTS))["students"]]
