"""Train a first LoRA through the SDK, with proofs that it learned."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import FAILED, USAGE, Trouble
from common.stage import explain
from distillation import tinker_client
from small_lm.errors import Trouble as TrainingTrouble
from tinker_local.errors import Trouble as ServiceTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tinker.types import Datum

WHO = "FALSTAFF"
TURNS, HELD_OUT = 320, 48  # of that person
BATCH, RATE = 8, 1e-3
MORE = 3  # steps after the save, twice: by the first client, by one that resumed
CUE = "What is honour, my lord?"
WAIT_S = 300.0


@dataclass(frozen=True)
class Proof:
    """A claim, whether it holds, and the evidence."""

    claim: str
    holds: bool
    seen: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, train and check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="local/bard-small", help="a model that the service has")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rank", type=int, default=16)
    given = parser.parse_args(arguments)
    try:
        proofs = list(proven(given))
    except (Trouble, TrainingTrouble, ServiceTrouble, OSError) as error:
        return explain(error)
    except KeyboardInterrupt:
        return 130
    return 0 if all(proof.holds for proof in proofs) else FAILED


def proven(given: argparse.Namespace) -> Iterator[Proof]:
    """Train and check; print and yield each proof as soon as it is known."""
    if given.steps < 1:
        raise Trouble(f"--steps {given.steps}: use 1 or more", USAGE)
    client = tinker_client.service_client()
    training = client.create_lora_training_client(given.model, rank=given.rank, seed=1).result(WAIT_S)
    for proof in proofs_of(client, training, given):
        print(f"{'ok  ' if proof.holds else 'MISS'} {proof.claim}: {proof.seen}", flush=True)
        yield proof


def proofs_of(client: Any, training: Any, given: argparse.Namespace) -> Iterator[Proof]:
    """Yield the proofs of training, resuming and sampling."""
    tokenizer = training.get_tokenizer()
    data = [datum(tokenizer, *turn) for turn in turns()]
    held_out, learned = data[:HELD_OUT], data[HELD_OUT:]
    before = loss_of(training, held_out)
    learn(training, learned, range(given.steps))
    after = loss_of(training, held_out)
    yield Proof("the held-out loss falls", after < before, f"{before:.4f} -> {after:.4f} nats a token")

    saved = training.save_state("first-steps", overwrite=True).result(WAIT_S).path
    further = range(given.steps, given.steps + MORE)
    here = learn(training, learned, further)
    resumed = client.create_training_client_from_state_with_optimizer(saved).result(WAIT_S)
    there = learn(resumed, learned, further)
    yield Proof("a resume is equal to the last bit", here == there, f"{here} and {there}")

    with_it = training.save_weights_and_get_sampling_client().result(WAIT_S)
    without = client.create_sampling_client(base_model=given.model).result(WAIT_S)
    first, again, plain = (answer(one, tokenizer) for one in (with_it, with_it, without))
    yield Proof("one seed, one answer", first == again, repr(first))
    yield Proof("without the adapter it is another", first != plain, repr(plain))


def turns() -> list[tuple[str, str]]:
    """Return the (cue, reply) pairs of one large part, the same ones in each call."""
    from distillation.base_model import make, settings

    read = make.read_plays(make.plan(settings.load(), settings.PROFILE))
    found = [person.turns for person in read.learned.people if person.name == WHO]
    if not found:
        raise Trouble(f"no speeches of {WHO} in data/plays: remove that folder, it is fetched again")
    return [(cue.text, reply.text) for cue, reply in found[0][:TURNS]]


def datum(tokenizer: Any, cue: str, reply: str) -> Datum:
    """Return one turn as a datum of the service; only the reply counts in the loss."""
    from tinker import types

    asked, answered = tokenizer.encode(f"<q>{cue}<a>"), tokenizer.encode(f"{reply}<end>")
    tokens, weights = [*asked, *answered], [0.0] * len(asked) + [1.0] * len(answered)
    return types.Datum(
        model_input=types.ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={"target_tokens": tokens[1:], "weights": weights[1:]},
    )


def learn(training: Any, data: Sequence[Datum], steps: range) -> list[float]:
    """Train some steps, both requests of a step submitted together; return the summed loss of each batch."""
    from tinker import types

    losses = []
    for step in steps:
        batch = [data[(step * BATCH + at) % len(data)] for at in range(BATCH)]
        learned = training.forward_backward(batch, "cross_entropy")
        moved = training.optim_step(types.AdamParams(learning_rate=RATE))
        losses.append(learned.result(WAIT_S).metrics["loss:sum"])
        moved.result(WAIT_S)
    return losses


def loss_of(training: Any, data: Sequence[Datum]) -> float:
    """Return the loss in nats a token."""
    tokens = sum(sum(one.loss_fn_inputs["weights"].data) for one in data)
    return float(training.forward(list(data), "cross_entropy").result(WAIT_S).metrics["loss:sum"] / tokens)


def answer(sampler: Any, tokenizer: Any) -> str:
    """Return a model's answer to one cue, sampled with a fixed seed."""
    from tinker import types

    prompt = types.ModelInput.from_ints(tokenizer.encode(f"<q>{CUE}<a>"))
    params = types.SamplingParams(max_tokens=32, temperature=0.7, seed=5, stop=["<end>"])
    return str(tokenizer.decode(sampler.sample(prompt, 1, params).result(WAIT_S).sequences[0].tokens))
