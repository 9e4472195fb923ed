"""Times the SDK against the local service, over HTTP, beside plain torch with peft and transformers' own sampling."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import torch  # noqa: E402
import transformers  # noqa: E402

from benchmarks import tinker_service as bare  # noqa: E402
from benchmarks.tinker_service import Case  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TOKEN = "tml-" + "0" * 20
READY_S, LIMIT_S = 8.0, 60.0
MOST_STEP = 1.25  # of the bare step, at 10M; the 1M row is shown beside it


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1M,10M", help="a comma list of 1M, 10M")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Print one line a case; 1 when a figure is above its bound."""
    wanted = parsed(argv)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(wanted.threads)
    transformers.utils.logging.disable_progress_bar()
    os.environ.update(TINKER_TELEMETRY="0", HF_HUB_OFFLINE="1", NO_PROXY="127.0.0.1")
    within = True
    with tempfile.TemporaryDirectory() as place:
        for size in wanted.sizes.split(","):
            folder = bare.make(Path(place) / size, size)
            began = time.perf_counter()
            with served(folder, Path(place) / f"state-{size}", wanted) as url:
                ready = time.perf_counter() - began
                print(f"{size}: start to ready {ready:.1f} s (most {READY_S:.0f})", flush=True)
                within &= ready <= READY_S
                print(f"{'case':52}{'ours s':>10}{'theirs s':>10}{'ratio':>8}{'most':>7}")
                for case in cases(url, folder, size, wanted):
                    within &= bare.report(case, wanted)
    return 0 if within else 1


@contextlib.contextmanager
def served(folder: str, state: Path, wanted: argparse.Namespace) -> Iterator[str]:
    """Run the service with one model until the block ends; give its address once it answers."""
    state.mkdir()
    words = ["--port", "0", "--state", str(state), "--model", folder, "--device", wanted.device]
    command = [sys.executable, str(ROOT / "scripts/serve_tinker.py"), *words, "--threads", str(wanted.threads)]
    environ = {**os.environ, "TINKER_API_KEY": TOKEN, "DO_TASKS_MODELS": str(state / "none")}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        watch = threading.Timer(LIMIT_S, process.kill)
        watch.start()
        try:
            url = address(process)
            watch.cancel()
            yield url
        finally:
            watch.cancel()
            process.terminate()
            process.wait(LIMIT_S)


def address(process: subprocess.Popen[str]) -> str:
    """Return what the service says of where it is, once it takes requests."""
    import urllib.request

    assert process.stdout is not None  # noqa: S101 - it is a pipe
    url = next(line for line in process.stdout if "TINKER_BASE_URL=" in line).split("=")[1].split()[0]
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/api/v1/healthz", timeout=1):  # noqa: S310
            return url
        time.sleep(0.01)


def cases(url: str, folder: str, size: str, wanted: argparse.Namespace) -> Iterator[Case]:
    """Yield what is timed for one model."""
    import tinker

    client = tinker.ServiceClient(base_url=url, api_key=TOKEN)
    name = client.get_server_capabilities().supported_models[0].model_name
    training = client.create_lora_training_client(name, rank=bare.RANK, seed=0).result()
    rows = f"{bare.ROWS} x {bare.LENGTH}"
    title = f"{size}: forward_backward + optim_step, {rows}"
    yield Case(title, sdk_step(training), bare.torch_step(folder, wanted.device), MOST_STEP)
    sampler = client.create_sampling_client(base_model=name).result()
    model, prompts = bare.read(folder, wanted.device), bare.prompts()
    ours = sdk_samples(sampler, prompts)
    title = f"{size}: {bare.PROMPTS} prompts, {bare.PREFIX} shared, {bare.NEW} new, beside generate"
    yield Case(f"{title} 1x1", ours, bare.one_by_one(model, prompts), 1 / 3)
    yield Case(f"{title} batch", ours, bare.batched(model, prompts), 1.0)


def sdk_step(training: Any) -> Callable[[], object]:
    """Return a training step through the SDK: both requests submitted, then both awaited."""
    from tinker import types

    data = [
        types.Datum(
            model_input=types.ModelInput.from_ints(ids.tolist()),
            loss_fn_inputs={"target_tokens": to.tolist(), "weights": [1.0] * bare.LENGTH},
        )
        for ids, to in zip(*bare.batch(), strict=True)
    ]

    def step() -> None:
        learned = training.forward_backward(data, "cross_entropy")
        moved = training.optim_step(types.AdamParams(learning_rate=1e-4))
        learned.result(LIMIT_S)
        moved.result(LIMIT_S)

    return step


def sdk_samples(sampler: Any, prompts: list[tuple[int, ...]]) -> Callable[[], object]:
    """Return a call for all answers side by side; each call's prompts begin anew, so that none is remembered."""
    from tinker import types

    params = types.SamplingParams(max_tokens=bare.NEW, temperature=1.0, stop=[])
    turn = iter(range(3, bare.VOCABULARY))

    def answer() -> object:
        first = next(turn)
        asked = [types.ModelInput.from_ints([first, *one[1:]]) for one in prompts]
        waiting = [sampler.sample(one, 1, params) for one in asked]
        found = [one.result(LIMIT_S) for one in waiting]
        tokens = sum(len(one.sequences[0].tokens) for one in found)
        assert tokens > bare.PROMPTS * bare.NEW * 0.9, tokens  # noqa: S101 - few random answers end early
        return found

    return answer


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
