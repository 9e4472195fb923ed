"""Holds the programs of the tinker-api skill to the SDK that is installed."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

from tests.unit.sdk_calls import check

SKILL = Path(__file__).resolve().parents[2] / ".claude" / "skills" / "tinker-api"


@pytest.fixture(scope="session")
def tinker():
    """The SDK, imported once: it takes seconds."""
    os.environ["TINKER_TELEMETRY"] = "0"
    return pytest.importorskip("tinker", reason="tinker is not installed: pip install -r requirements/run.txt")


BLOCKS = [
    pytest.param(found[1], id=f"{page.name}:{page.read_text(encoding='utf-8')[: found.start()].count(chr(10)) + 2}")
    for page in sorted(SKILL.glob("*.md"))
    for found in re.finditer(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize("program", BLOCKS)
def test_an_example_calls_what_the_sdk_has(tinker, program):
    assert check(tinker, program).problems == []


CALLS = """tinker_has_credentials raise_if_tinker_not_accessible get_server_capabilities RestClient ServiceClient
create_lora_training_client create_training_client_from_state_with_optimizer create_sampling_client sample result
get_tokenizer from_ints to_ints Datum tolist forward_backward optim_step AdamParams SamplingParams save_state
save_weights_for_sampler save_weights_and_get_sampling_client list_checkpoints from_tinker_path
delete_checkpoint_from_tinker_path"""


def test_the_examples_cover_what_a_distillation_needs(tinker):
    assert set(CALLS.split()) <= set().union(*(check(tinker, block.values[0]).checked for block in BLOCKS))


START = """
import tinker
from tinker import types
service = tinker.ServiceClient()
training = service.create_lora_training_client("m").result(timeout=9)
def own() -> tinker.SamplingClient: ...
"""


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("tinker.Client()", "has no Client"),
        ("from tinker import Client", "has no Client"),
        ("tinker.ServiceClient(key='x')", "unexpected keyword argument 'key'"),
        ("service.create_lora_training_client().result(timeout=9)", "missing a required argument: 'base_model'"),
        ("service.create_lora_training_client('m', lora_rank=8)", "unexpected keyword argument 'lora_rank'"),
        ("service.create_lora_training_client('m').save_state('a')", ".save_state of a future"),
        ("service.create_lora_training_client.result(timeout=1)", "of a function"),
        ("training.forward_backward([], 'crossentropy')", "loss_fn is 'crossentropy'"),
        ("training.forward_backward([], loss_fn='mse')", "loss_fn is 'mse'"),
        ("training.forward_backwards([], 'ppo')", "has no forward_backwards"),
        ("training.optim_step(types.AdamParams(1e-4))", "too many positional arguments"),
        ("training.optim_step(types.AdamParams(lr=1e-4))", "unexpected keyword argument 'lr'"),
        ("training.optim_step(types.AdamParams()).result()", "give it a timeout"),
        ("training.load_state('tinker://a/weights/b')", "deprecated"),
        ("training.save_state('a').result(timeout=9).paths", "has no paths"),
        ("training.run_id", "has no run_id"),
        ("with tinker.ServiceClient() as s:\n    s.sample()", "has no sample"),
        ("for future in [training.save_state('a')]:\n    future.results()", "has no results"),
        ("def f(a: types.Datum):\n    a.tokens", "has no tokens"),
        ("own().sample()", "missing a required argument: 'prompt'"),
        ("own().sample(*[1, 2, 3])", "write the arguments out"),
        ("own().sample(1, 2, 3).result(timeout=1).sequences[0].text", "has no text"),
        ("try:\n    pass\nexcept tinker.KeyError:\n    pass", "has no KeyError"),
        ("print(f'{training.path}')", "has no path"),
    ],
)
def test_a_wrong_call_is_caught(tinker, line, what):
    assert [what in problem for problem in check(tinker, START + line).problems] == [True]


def functions(program, names):
    """The functions of a program, defined among these names, without running the rest."""
    tree = ast.parse(program)
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    exec(compile(tree, "example", "exec"), names)
    return names


@pytest.mark.parametrize("program", [one for one in BLOCKS if "def datum(" in one.values[0]])
def test_the_datum_of_an_example_weighs_the_answer_alone(tinker, program):
    one = functions(program, {"types": tinker.types})["datum"]([1, 2, 3], [4, 5])
    assert one.model_input.to_ints() == [1, 2, 3, 4]
    assert one.loss_fn_inputs["target_tokens"].tolist() == [2, 3, 4, 5]
    assert one.loss_fn_inputs["weights"].tolist() == [0, 0, 0.5, 0.5]
