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


WAYS = ("with_prompt", "student")
PRICED = {"query_with_prompt": "with the prompt", "query_of_student": "without it"}
GAP = (
    "The gap is what the prompt gives: how many nats a token the teacher's own answers cost more without the prompt than "
    "with it. A student that closes all of it finds them as likely as the prompted teacher does."
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
    environment: dict[str, Any]
    manifests: dict[str, dict[str, Any]]
    python: str = "python"
    revision: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the evaluation."""
        return dict(self.manifests["15_evaluate"]["settings"])

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
    first, whole = ({name: latency[name][part]["median"] for name in WAYS} for part in ("first_token", "whole_answer"))
    length, each = ({name: latency[name][part] for name in WAYS} for part in ("mean_answer", "each_token"))
    lines = [
        f"- Tokens read per query: {read['with_prompt']['value']} with the prompt, {read['student']['value']} without; "
        f"{found['tokens_saved_per_query']['value']} saved.",
        f"- First token, median of {latency['student']['first_token']['queries']['value']} queries: "
        f"{amount(first['with_prompt'])} with, {amount(first['student'])} without. {found['latency_note'].capitalize()}.",
        f"- Whole answer: {amount(whole['with_prompt'])} with, {amount(whole['student'])} without; answers have "
        f"{amount(length['with_prompt'])} and {amount(length['student'])} on average, so each token takes "
        f"{amount(each['with_prompt'])} and {amount(each['student'])}. {found['token_note'].capitalize()}.",
    ]
    priced = found.get("money_example") or found["money"]
    return "\n".join([*lines, f"- {priced.get('note', 'Price')}: {money(priced)}."])


def amount(one: dict[str, Any]) -> str:
    """Return a figure with its unit."""
    value = one["value"]
    shown = f"{value:.4g}" if isinstance(value, float) else f"{value:,}"
    return f"{shown} {one['unit']}"


def money(found: dict[str, Any]) -> str:
    """Return the costs of a thousand queries and of the student, by a dated table; nothing is counted at a price of zero."""
    costs = {name: found[name]["value"] for name in PRICED if name in found}
    if not any(costs.values()):
        return str(found["said"])
    each = ", ".join(f"{words} ${1000 * costs[name]:.3f}" for name, words in PRICED.items())
    made = found["making_the_student"]["value"]
    return f"1,000 queries {each}; making the student ${made:.2f} (table of {found['as_of']}); {found['said']}"


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


def stated(data: Data) -> str:
    """Return the table of the facts that answers have, and its relation to the share."""
    counts = data.evaluation["stated"]
    whole = counts["all"]["all"]
    lines = [
        f"Likelihood is not speech. Of {whole['of']} questions for a fact that the prompt states, the teacher told it in "
        f"{whole['teacher']}, the exported student in {whole['student']}, the bare model in {whole['bare']}: the share above "
        "says how near the student is to the teacher, this says how much there was to learn. Wordings held out are in no "
        "training question.",
        "",
        "| wordings | fact | asked | bare | student | teacher |",
        "|---|---|---|---|---|---|",
    ]
    for sort, kinds in counts.items():
        for kind, cell in kinds.items():
            lines.append(
                f"| {sort.replace('_', ' ')} | {kind} | {cell['of']} | {cell['bare']} | {cell['student']} | {cell['teacher']} |"
            )
    return "\n".join(lines) + "\n\n![facts](outputs/plots/stated.png)"


def kinds(data: Data) -> str:
    """Return the table of gap and share by kind of question."""
    lines = ["| kind | answers | gap | share closed [95 %] |", "|---|---|---|---|"]
    for kind, one in data.evaluation["by_kind"].items():
        known = one["share"] is not None
        shown = (
            f"{percent(one['share'])} [{percent(one['low'])}, {percent(one['high'])}]" if known else "no gap to close"
        )
        lines.append(f"| {kind} | {one['answers']} | {one['gap']:.4f} | {shown} |")
    return "\n".join(lines)


def made(data: Data) -> str:
    """Return machine, versions, settings and cost of this run."""
    training, making = data.settings["training"], data.savings["making"]
    last = max(one.get("finished", "") for one in data.manifests.values())
    values = ", ".join(
        f"{name} {training[name]}" for name in ("rank", "steps", "batch", "learning_rate", "targets", "top")
    )
    versions = ", ".join(f"{name} {one}" for name, one in data.manifests["15_evaluate"]["versions"].items())
    seconds = sum(one.get("seconds", 0.0) for one in data.manifests.values())
    best = data.evaluation["exported"]
    return "\n".join(
        [
            f"- Ended {last or 'at an unknown time'}; the scripts below took {seconds / 60:.0f} minutes together.",
            f"- Machine: {machine(data.environment)}; versions: {versions}; revision {data.revision or 'not known'}.",
            f"- Training: {values}; {len(data.students['students'])} students of `{data.students['base_model']}`.",
            f"- Cost: the teacher read {making['read']['value']:,} tokens and wrote {making['written']['value']:,}; the students "
            f"were trained on {making['trained']['value']:,}.",
            f"- Exported: seed {best['seed']}, step {best['step']}, by {best['why']} ({best['val_nll']:.4f} nats a token).",
        ]
    )


def machine(found: dict[str, Any]) -> str:
    """Return the machine of step 2 in words."""
    of, devices = found.get("machine", {}), found.get("gpu", {}).get("devices", [])
    gpus = f"GPU {', '.join(devices)}" if devices else "no GPU"
    return f"{found.get('platform', 'platform not known')}, {of.get('cores', '?')} cores, {of.get('memory_gb', '?')} GB of memory, {gpus}"


def evidence(data: Data) -> str:
    """Return the table of each step's criteria, seconds and task id in the log."""
    lines = ["| step | criteria met | seconds | task |", "|---|---|---|---|"]
    for name, one in data.manifests.items():
        number, _, words = name.partition("_")
        criteria = one.get("criteria", [])
        met = "; ".join(cell(f"{item['text']}: {item['evidence']}") for item in criteria if item["met"])
        lines.append(
            f"| {int(number)} [{words.replace('_', ' ')}](scripts/{name}.py) | {met or '-'} | {one.get('seconds', 0):.0f} | "
            f"`{one['task']}` |"
        )
    return "\n".join(lines) + "\n\n`do-tasks log TASK` shows everything that happened in one."


def results(data: Data) -> str:
    """Return RESULTS_REPORT.md."""
    found = data.evaluation
    about = SMALL if data.is_from_scratch else LARGE
    whole = found["share"]["all"]
    clustered = f"{percent(whole['clustered_low'])} to {percent(whole['clustered_high'])}"
    sections = {
        "Base, student, teacher": f"Mean cost of the teacher's held-out answers, {found['unit']}. "
        f"Interval: {found['interval']['kind']}; it does not cover {found['interval']['not_covered']}. Over templates instead "
        f"of answers it is {clustered} ({whole['clusters']} templates).\n\n{scores(data)}\n\n![gap](outputs/plots/gap.png)",
        "By kind of question": kinds(data),
        "Facts that are said": stated(data),
        "Answers side by side": f"One draw each, at temperature {found['temperature']:g}: the first question for each fact, "
        f"then the first others; the answers are not chosen.\n\n{answers(data)}",
        "Likeness": likeness(data),
        "What a query saves": saved(data),
        "Review": reviewed(data),
        "How it was made": f"{made(data)}\n\n![loss](outputs/plots/loss.png)",
        "The set": audited(data),
        "Evidence": evidence(data),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"# Results\n\n{headline(data)}\n\n{GAP}\n\n{about}\n\n{body}\n"
