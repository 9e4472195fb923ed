"""The text of the report; every figure is from the files of earlier steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.config import CONFIGS

SMALL = (
    "**What this shows, and what it does not.** The model here is small, made from scratch on this machine; its answers "
    "are not sense. Its prompt makes its own answers likelier, and a LoRA keeps a part of that without the prompt. This "
    "tests the method and the tooling, not the character: the figures say how well a distribution was learned. For a "
    "character the same scripts run at full size against the real service (`--profile tinker`)."
)
LARGE = (
    "**What this shows, and what it does not.** Likelihood of the teacher's own answers is measured, not how good they "
    "are. Read the answers below, and fill in the sheet of `outputs/review/`, before you rely on them."
)


@dataclass(frozen=True)
class Data:
    """The results of earlier steps."""

    evaluation: dict[str, Any]
    beside: list[dict[str, Any]]
    students: dict[str, Any]
    teacher: dict[str, Any]
    audit: dict[str, Any]
    savings: dict[str, Any]
    review: dict[str, Any]
    export: dict[str, Any]
    tasks: dict[str, str]

    @property
    def is_from_scratch(self) -> bool:
        """True if this pipeline trained the base model from scratch."""
        home, _, name = str(self.teacher["model"]).rpartition("/")
        return home == "local" and (CONFIGS / "base_model" / f"{name}.yaml").is_file()


def headline(data: Data) -> str:
    """Return the result: share, interval and the command that repeats it."""
    one, seeds = data.evaluation["share"]["all"], data.evaluation["seeds"]
    each = ", ".join(f"{percent(found['share'])} (seed {seed})" for seed, found in seeds.items())
    return (
        f"**{percent(one['share'])} of the gap closed**, 95 % interval {percent(one['low'])} to {percent(one['high'])}, "
        f"at {data.evaluation['student_prompt_tokens']} prompt tokens instead of {data.teacher['prompt_tokens']}. "
        f"Students: {each}. Repeat: `{data.evaluation['command']}`"
    )


def percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.1f} %"


def scores(data: Data) -> str:
    """Return the table of base, student and teacher."""
    found = data.evaluation
    lines = [
        "| answers | number | base, bare | students, bare | teacher, prompted | gap [95 %] | share closed [95 %] |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, gap in found["gap"].items():
        share = found["share"][name]
        lines.append(
            f"| {name} | {gap['answers']} | {gap['base']:.4f} | {share['student']:.4f} | {gap['teacher']:.4f} | "
            f"{gap['gap']:.4f} [{gap['low']:.4f}, {gap['high']:.4f}] | "
            f"{percent(share['share'])} [{percent(share['low'])}, {percent(share['high'])}] |"
        )
    return "\n".join(lines)


def answers(data: Data) -> str:
    """Return the table of answers side by side."""
    lines = ["| question | base | student | teacher |", "|---|---|---|---|"]
    columns = ("question", "base", "student", "teacher")
    lines += ["| " + " | ".join(cell(row[name]) for name in columns) + " |" for row in data.beside]
    return "\n".join(lines)


def cell(text: Any) -> str:
    """Return a text as a cell of a Markdown table."""
    shown = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return " ".join(shown.replace("|", "\\|").replace("<", "&lt;").split()) or "(nothing)"


def likeness(data: Data) -> str:
    """Return the similarity of the answers."""
    found = data.evaluation["similarity"]
    letters = ", ".join(f"{name} {value:.3f}" for name, value in found["letters"].items())
    embedding = found["embedding"]
    shown = (
        embedding if isinstance(embedding, str) else ", ".join(f"{name} {value}" for name, value in embedding.items())
    )
    return (
        f"- By letters (1 is the same): {letters}; {found['of']}.\n- By an embedding: {shown}.\n"
        f"- Win rate of the student over the base by a judge: {data.evaluation['win_rate']}."
    )


def saved(data: Data) -> str:
    """Return tokens, latency and money of a query."""
    found = data.savings
    latency, read = found["latency"], found["tokens_read_per_query"]
    first = {name: latency[name]["first_token"]["median"] for name in ("with_prompt", "student")}
    whole = {name: latency[name]["whole_answer"]["median"] for name in ("with_prompt", "student")}
    example = found.get("money_example")
    lines = [
        f"- Tokens read per query: {read['with_prompt']['value']} with the prompt, {read['student']['value']} without; "
        f"{found['tokens_saved_per_query']['value']} saved.",
        f"- First token, median of {latency['student']['first_token']['queries']['value']} queries: "
        f"{amount(first['with_prompt'])} with, {amount(first['student'])} without; whole answer: "
        f"{amount(whole['with_prompt'])} with, {amount(whole['student'])} without. {found['latency_note'].capitalize()}.",
        f"- Price per query, by the table of {found['money']['as_of']} ({found['money']['source']}): {money(found['money'])}.",
    ]
    return "\n".join([*lines, f"- {example['note']}: {money(example)}."] if example else lines)


def amount(one: dict[str, Any]) -> str:
    """Return a figure with its unit."""
    value = one["value"]
    shown = f"{value:.4g}" if isinstance(value, float) else f"{value:,}"
    return f"{shown} {one['unit']}"


def money(found: dict[str, Any]) -> str:
    """Return the costs of a query and the break-even of the student."""
    parts = [f"{name.replace('_', ' ')} {amount(value)}" for name, value in found.items() if is_known(value)]
    return "; ".join([*parts, str(found["said"])])


def is_known(value: Any) -> bool:
    """Return True for a figure that has a value."""
    return isinstance(value, dict) and value.get("value") is not None


def reviewed(data: Data) -> str:
    """Return the table of the rules with the number of answers that keep each."""
    found = data.review
    rules = {rule["name"]: rule["words"] for rule in found["rules"]}
    models = list(found["rates"])
    lines = [f"| rule | {' | '.join(models)} |", "|---|" + "---|" * len(models)]
    for name, words in rules.items():
        cells = [f"{found['rates'][one][name]['kept']} of {found['rates'][one][name]['of']}" for one in models]
        lines.append(f"| {cell(words)} | {' | '.join(cells)} |")
    return (
        "\n".join(lines)
        + "\n\nJudged by rules alone; what a person says stands in `outputs/review/sheet.csv`, and is not counted."
    )


def audited(data: Data) -> str:
    """Return the result of the audit."""
    found = data.audit["figures"]
    kinds = ", ".join(f"{kind} {count}" for kind, count in found["kinds"].items())
    return (
        f"{found['rows']:,} answers to {found['templates']} templates; {percent(found['duplicate_share'])} said before, "
        f"{found['median_words']:g} words in the middle one, {percent(found['cut_share'])} cut off at the limit, "
        f"{found['held_out_leaks']} held-out questions among them. Kinds: {kinds}."
    )


def evidence(data: Data) -> str:
    """Return the table of each step's task id in the log."""
    lines = ["| step's script | task |", "|---|---|"]
    lines += [f"| {name} | `{task}` |" for name, task in data.tasks.items()]
    return "\n".join(lines) + "\n\n`grep TASK .task_execution.log` shows everything that happened in one."


def results(data: Data) -> str:
    """Return RESULTS_REPORT.md."""
    found = data.evaluation
    about = SMALL if data.is_from_scratch else LARGE
    sections = {
        "Base, student, teacher": f"Mean cost of the teacher's held-out answers, {found['unit']}. "
        f"Interval: {found['interval']['kind']}; it does not cover {found['interval']['not_covered']}.\n\n{scores(data)}\n\n"
        "![gap](outputs/plots/gap.png)",
        "Answers side by side": f"One draw each, at temperature {found['temperature']:g}, not chosen.\n\n{answers(data)}",
        "Likeness": likeness(data),
        "What a query saves": f"{saved(data)}\n\n![tokens](outputs/plots/savings.png)",
        "Review": reviewed(data),
        "Training": f"{len(data.students['students'])} students of `{data.students['base_model']}`, LoRA of rank "
        f"{data.students['rank']}.\n\n![loss](outputs/plots/loss.png)",
        "The set": audited(data),
        "Evidence": evidence(data),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"{headline(data)}\n\n# Results\n\n{about}\n\n{body}\n"


def deployment(data: Data) -> str:
    """Return DEPLOYMENT.md."""
    found, saved_tokens = data.export, data.savings["tokens_saved_per_query"]["value"]
    sections = {
        "Load it": loading(data),
        "Try it": """```bash
python scripts/17_talk.py                        # a conversation; --once "Who are you?" for one answer
```""",
        "Before it is used": f"{SMALL if data.is_from_scratch else LARGE}\n\nResult: {headline(data)}",
        "Files": exported(data),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return (
        "# Deploying the student\n\n"
        f"The student answers without the prompt: {saved_tokens:g} tokens fewer are read for each query.\n"
        f"Checkpoint `{found['checkpoint']}` (seed {found['seed']}, step {found['step']}), base `{found['base_model']}`.\n\n"
        f"{body}\n"
    )


def loading(data: Data) -> str:
    """Return instructions to load the merged model or the adapter, and to ask it."""
    found = data.export
    return f"""```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("outputs/export/merged")
tokenizer = AutoTokenizer.from_pretrained("outputs/export/merged")
```

or the adapter alone, on the base that it was trained on:

```python
from peft import PeftModel

base = AutoModelForCausalLM.from_pretrained("{found["base_path"]}")
model = PeftModel.from_pretrained(base, "outputs/export/adapter")
```

A question is put to it {asked(data)}. Loaded back, merged and adapter differ by at most
{found["max_logit_difference"]:.2g} in a logit, and from the service that trained it by {found["max_nats_difference"]:.2g} nats."""


def exported(data: Data) -> str:
    """Return the table of the files that were exported."""
    lines = ["| file | bytes | SHA-256 begins |", "|---|---|---|"]
    files = data.export["files"].items()
    return "\n".join([*lines, *(f"| {name} | {one['bytes']:,} | `{one['sha256'][:16]}` |" for name, one in files)])


def asked(data: Data) -> str:
    """Return the form of a question for the model, in words."""
    chat = "by the tokenizer's chat template, without a system message, with `enable_thinking=False`"
    ways = {"sheet": "as `<bos><q>QUESTION<a>`", "chat": chat}
    return ways.get(str(data.teacher["voice"]), "as `Question: QUESTION`, a new line, `Answer:`")
