"""The report of the results."""

from __future__ import annotations

import dataclasses
import importlib
import re

import pytest
import yaml

from common.settings import Settings
from distillation.evaluation import deployment, report, similarity

FIGURE = {"value": 2.0, "unit": "tokens"}
PART = {"share": 0.801, "low": 0.771, "high": 0.828, "clustered_low": 0.745, "clustered_high": 0.842, "clusters": 277}
CELL = {"of": 40, "bare": 0, "student": 19, "teacher": 22}
TIMED = {key: {"median": FIGURE, "queries": FIGURE} for key in ("first_token", "whole_answer")}
WAY = {**TIMED, "mean_answer": FIGURE, "each_token": FIGURE}


def data(**changes):
    """Figures of all steps, as their files have them."""
    gap = {"answers": 600, "base": 3.83, "teacher": 3.67, "gap": 0.16, "low": 0.15, "high": 0.18}
    evaluation = {
        "unit": "nats per token",
        "temperature": 1.0,
        "interval": {"kind": "bootstrap", "not_covered": "other models"},
        "gap": {"all": gap},
        "share": {"all": {**PART, "student": 3.70}},
        "by_kind": {
            "name": {"answers": 40, "gap": 0.4, "share": 0.9, "low": 0.8, "high": 0.95},
            "place": {"answers": 40, "gap": 0.0, "share": None, "low": None, "high": None},
        },
        "stated": {"trained": {"name": CELL}, "held_out": {"name": CELL}, "all": {"all": CELL}},
        "seeds": {"17": PART},
        "exported": {"seed": 17, "step": 280, "val_nll": 3.7, "why": "least loss on the validation set"},
        "student_prompt_tokens": 0,
        "similarity": {"letters": {"base": 0.3}, "embedding": "absent", "of": "100 answers"},
        "win_rate": "absent",
        "command": ".venv/bin/python scripts/15_evaluate.py",
    }
    manifest = {
        "task": "task_15_aa",
        "finished": "2026-01-02T03:04:05+00:00",
        "seconds": 61.0,
        "criteria": [{"text": "Every seed is scored", "met": True, "evidence": "3 students of 3"}],
        "settings": dataclasses.asdict(Settings()),
        "versions": {"python": "3.11.7"},
    }
    costs = {name: {"value": 0.0, "unit": "US dollars"} for name in (*report.PRICED, "making_the_student")}
    savings = {
        "latency": {"with_prompt": WAY, "student": WAY},
        "latency_note": "a prefix is kept",
        "token_note": "the adapter is beside",
        "tokens_read_per_query": {"with_prompt": FIGURE, "student": FIGURE},
        "tokens_saved_per_query": FIGURE,
        "making": {key: {"value": 5, "unit": "tokens"} for key in ("read", "written", "trained")},
        "money": {**costs, "as_of": "2026-01-01", "said": "the price is zero"},
        "money_example": None,
    }
    rule = {"kept": 1, "of": 2}
    export = {
        "checkpoint": "tinker://x", "seed": 17, "step": 280, "base_model": "local/bard-small", "base_path": "outputs",
        "max_logit_difference": 1e-6, "max_nats_difference": 1e-6,
        "files": {"adapter/a.safetensors": {"bytes": 2_000_000, "sha256": "a" * 64}},
    }  # fmt: skip
    return report.Data(
        **{
            "evaluation": evaluation,
            "beside": [{"question": "Who are you?", "base": "a|b", "student": "By name Falstaff.", "teacher": ""}],
            "students": {"students": [{}], "base_model": "local/bard-small", "rank": 32},
            "teacher": {"model": "local/bard-small", "voice": "sheet", "prompt_tokens": 505},
            "audit": {"figures": {"kinds": {"name": 1}, "rows": 5, "templates": 3, "duplicate_share": 0.0,
                                  "median_words": 9, "cut_share": 0.1, "held_out_leaks": 0}},
            "savings": savings,
            "review": {"rules": [{"name": "said", "words": "Something"}], "rates": {"student": {"said": rule}}},
            "export": export,
            "environment": {"platform": "Linux", "machine": {"cores": 2, "memory_gb": 23.0}, "gpu": {"devices": []}},
            "manifests": {"15_evaluate": manifest},
            "python": ".venv/bin/python",
            "revision": "0123456789ab",
            **changes,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("model", "is_small"), [("local/bard-small", True), ("local/gemma-3-270m", False), ("Qwen/Qwen3-8B", False)]
)
def test_only_a_model_made_from_scratch_is_called_small(model, is_small):
    assert data(teacher={"model": model}).is_from_scratch == is_small


def test_the_report_begins_as_the_plan_wants_it():
    root = importlib.import_module("make_plan").ROOT
    plan = yaml.safe_load((root / "step_definitions.yaml").read_text())
    first = next(one for one in plan["step_20_report"]["main"]["success_criteria"] if "matches" in one)
    assert re.search(first["matches"]["pattern"], report.results(data()))


def test_the_report_joins_the_share_with_what_is_said():
    text = report.results(data())
    for part in (
        "the teacher told it in 22, the exported student in 19, the bare model in 0",
        "| held out | name | 40 | 0 | 19 | 22 |",
        "74.5 % to 84.2 % (277 templates)",
        "| place | 40 | 0.0000 | no gap to close |",
        "by least loss on the validation set",
        "Linux, 2 cores, 23.0 GB of memory, no GPU",
        "revision 0123456789ab",
        "| 15 [evaluate](scripts/15_evaluate.py) | Every seed is scored: 3 students of 3 | 61 | `task_15_aa` |",
        "a\\|b",
    ):
        assert part in text
    assert text.count("the price is zero") == 1
    assert "US dollars" not in text


def test_money_is_of_a_thousand_queries():
    costs = {"query_with_prompt": 6.1e-05, "query_of_student": 1e-05, "making_the_student": 1.5}
    shown = {name: {"value": value, "unit": "US dollars"} for name, value in costs.items()}
    said = report.money({**shown, "as_of": "2026-01-01", "said": "paid for itself"})
    assert "with the prompt $0.061, without it $0.010; making the student $1.50" in said


def test_the_deployment_page_says_how_to_serve_and_under_which_terms():
    text = deployment.deployment(data())
    for part in (
        "scripts/serve_tinker.py --model",
        "temperature 1",
        "Adapter 2.0 MB",
        "GEMMA_TERMS",
        "`tinker://x` is",
    ):
        assert part in text


def test_a_question_for_each_fact_is_among_the_answers_shown():
    kinds = ("play", "play", "friend", "name", "friend", "loves", "play")
    rows = [{"kind": kind, "group": "cue" if kind == "play" else "fact"} for kind in kinds]
    assert similarity.shown(rows, 5) == [2, 3, 5, 0, 1]
