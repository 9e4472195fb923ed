"""Times the local Tinker service beside plain torch with peft, and beside transformers' own sampling."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
sys.path.insert(1, str(ROOT / "scripts"))

import numpy as np  # noqa: E402
import peft  # noqa: E402
import tokenizers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

from tinker_local.api_types import Adam, Datum, Lora, Sampling, SamplingRequest  # noqa: E402
from tinker_local.engine import TorchEngine  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHAPES = {  # width, layers, heads, inner width
    "1M": (128, 4, 2, 352),
    "10M": (320, 7, 5, 864),
}
VOCABULARY, CONTEXT, END = 2048, 1024, 1
ROWS, LENGTH = 8, 256
PROMPTS, PREFIX, ENDING, NEW = 32, 450, 8, 64
RANK = 16


@dataclass(frozen=True)
class Case:
    """Two ways to do one thing; `most` bounds the ratio of their seconds, ours to theirs."""

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    most: float


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("train", "sample"), default="")
    parser.add_argument("--sizes", default="1M,10M", help="a comma list of 1M, 10M")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Print one line a case; 1 when a ratio is above its bound."""
    wanted = parsed(argv)
    warnings.filterwarnings("ignore")
    transformers.utils.logging.disable_progress_bar()
    within = True
    print(f"{'case':52}{'ours s':>10}{'theirs s':>10}{'ratio':>8}{'most':>7}")
    with tempfile.TemporaryDirectory() as place:
        for size in wanted.sizes.split(","):
            folder = make(Path(place) / size, size)
            engine = TorchEngine(device=wanted.device, threads=wanted.threads)
            engine.create("a", folder, Lora(rank=RANK, seed=0))
            for case in cases(engine, folder, size, wanted):
                within &= report(case, wanted)
    return 0 if within else 1


def make(folder: Path, size: str) -> str:
    """Write a random Llama of about `size` parameters with a tokenizer of its ids."""
    width, layers, heads, inner = SHAPES[size]
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=heads, intermediate_size=inner, max_position_embeddings=CONTEXT, tie_word_embeddings=True,
        bos_token_id=0, eos_token_id=END, pad_token_id=2,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    words = tokenizers.models.WordLevel({str(place): place for place in range(VOCABULARY)}, unk_token="0")  # noqa: S106
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(words), eos_token=str(END))
    fast.save_pretrained(folder)
    return str(folder)


def cases(engine: TorchEngine, folder: str, size: str, wanted: argparse.Namespace) -> list[Case]:
    """Return what is timed for one model."""
    found = []
    if wanted.only != "sample":
        ours, theirs = engine_step(engine), torch_step(folder, wanted.device)
        found.append(Case(f"{size}: forward_backward + optim_step, {ROWS} x {LENGTH}", ours, theirs, 1.08))
    if wanted.only != "train":
        asked, model = prompts(), read(folder, wanted.device)
        ours = engine_samples(engine, folder, asked)
        one, all_ = one_by_one(model, asked), batched(model, asked)
        title = f"{size}: {PROMPTS} prompts, {PREFIX} shared, {NEW} new, beside generate"
        found += [Case(f"{title} 1x1", ours, one, 1 / 3), Case(f"{title} batch", ours, all_, 1.0)]
    return found


def report(case: Case, wanted: argparse.Namespace) -> bool:
    """Time both in turn, after one untimed round; print medians with the median of the rounds' ratios."""
    case.ours()
    case.theirs()
    pairs = [(seconds(case.ours), seconds(case.theirs)) for _ in range(wanted.rounds)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{case.name:52}{ours:10.4f}{theirs:10.4f}{ratio:8.3f}{case.most:7.2f}", flush=True)
    return ratio <= case.most


def seconds(act: Callable[[], object]) -> float:
    """Return how long one act takes."""
    start = time.perf_counter()
    act()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def batch() -> tuple[Any, Any]:
    """Return the ids of one training batch with its targets, both (ROWS, LENGTH)."""
    drawn = np.random.default_rng(0).integers(3, VOCABULARY, (ROWS, LENGTH + 1))
    return drawn[:, :-1], drawn[:, 1:]


def engine_step(engine: TorchEngine) -> Callable[[], object]:
    """Return a training step of ours, from data as the wire gives them."""
    weights = np.ones(LENGTH, np.float32)
    pairs = zip(*batch(), strict=True)
    data = [Datum(tuple(ids.tolist()), {"target_tokens": to, "weights": weights}) for ids, to in pairs]

    def step() -> None:
        engine.forward_backward("a", data, "cross_entropy", {}, forward_only=False)
        engine.optim_step("a", Adam())

    return step


def torch_step(folder: str, device: str) -> Callable[[], object]:
    """Return the same step as anybody would write it with torch and peft."""
    parts = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
    config = peft.LoraConfig(r=RANK, lora_alpha=32, target_modules=parts, task_type="CAUSAL_LM")
    model = peft.get_peft_model(read(folder, device), config)
    trained = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, betas=(0.9, 0.95), eps=1e-12, weight_decay=0)
    ids, targets = (torch.from_numpy(one).to(device) for one in batch())

    def step() -> None:
        logits = model(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    return step


def read(folder: str, device: str) -> Any:
    """Return the model as transformers loads it."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().to(device)


def prompts() -> list[tuple[int, ...]]:
    """Return prompts that share their beginning."""
    drawn = np.random.default_rng(1)
    shared = tuple(drawn.integers(3, VOCABULARY, PREFIX).tolist())
    return [shared + tuple(drawn.integers(3, VOCABULARY, ENDING).tolist()) for _ in range(PROMPTS)]


def engine_samples(engine: TorchEngine, folder: str, wanted: Sequence[tuple[int, ...]]) -> Callable[[], object]:
    """Return a call for all answers; nothing is remembered from the call before."""
    params = Sampling(max_tokens=NEW, stop=())

    def answer() -> object:
        engine.prefixes[folder].kept.clear()
        return engine.sample(folder, "", [SamplingRequest(one, params=params) for one in wanted])

    return answer


def one_by_one(model: Any, wanted: Sequence[tuple[int, ...]]) -> Callable[[], object]:
    """Return the same by generate, a prompt at a time."""
    return lambda: [generate(model, [one]) for one in wanted]


def batched(model: Any, wanted: Sequence[tuple[int, ...]]) -> Callable[[], object]:
    """Return the same by one call of generate."""
    return lambda: generate(model, wanted)


def generate(model: Any, wanted: Sequence[tuple[int, ...]]) -> object:
    """Return what transformers answers at temperature 1."""
    ids = torch.tensor(wanted, device=model.device)
    return model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, max_new_tokens=NEW, min_new_tokens=NEW
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
