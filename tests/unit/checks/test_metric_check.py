"""Metric files as trainings really write them: what a monitor reads last, and where it sees NaN."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from executor.checks import metric_check
from tests.unit.places import Looks

MADE = Path(__file__).resolve().parents[2] / "fixtures" / "metrics"
nan, inf = math.nan, math.inf


def read(folder, name):
    """Return the newest finite values and the names that were ever not finite."""
    looks, seen = Looks("metrics", name, folder), {}
    readings = [looks.look() for _ in range(3)]
    for row in (row for reading in readings for row in reading.rows):
        for column, value in row.items():
            seen.setdefault(column, []).append(value)
    odd = {column for column, values in seen.items() if not all(map(math.isfinite, values))}
    return readings[-1].values, odd, readings[-1].text


def check(told, odd, last, not_finite):
    assert odd == not_finite
    assert {name: told.get(name) for name in last} == last


# Made by the packages themselves: file, newest values, columns with NaN

REAL = [
    ("absl.log", {"step": 30}, {"loss"}),
    ("hf_trainer.log", {"epoch": 1, "learning_rate": 4.167e-06}, {"loss", "grad_norm", "eval_loss", "train_loss"}),
    ("keras_csvlogger.csv", {"step": 2, "loss": 1.2310712337493896}, set()),
    ("keras_fit.log", {"step": 2, "val_loss": 0.9837}, {"loss", "mae"}),
    ("lightgbm.log", {"step": 6, "train_l2": 0.138407, "valid_l2": 0.210267}, set()),
    ("lightning_bar.log", {"step": 2}, {"val_loss", "train_loss_epoch"}),
    ("lightning_metrics.csv", {"step": 11}, {"train_loss_step", "train_loss_epoch", "val_loss"}),
    ("logging_basic.log", {"step": 30, "lr": 0.0001}, {"loss"}),
    ("loguru.log", {"step": 30}, {"loss"}),
    ("loguru_serialize.jsonl", {"step": 30}, {"record/extra/loss"}),
    ("numpy_repr.log", {"step": 5, "loss": 1.25, "acc": 0.5, "norm": 3}, {"loss", "x"}),
    ("prettytable.log", {"step": 20}, {"loss"}),
    ("rich_handler.log", {"step": 20}, {"loss"}),
    ("rich_progress.log", {"step": 4}, {"loss"}),
    ("rich_table.log", {"step": 2, "val loss": 2.38}, {"train loss"}),
    ("sb3_progress.csv", {"step": 3000, "train/loss": 1.5}, {"rollout/ep_rew_mean"}),
    ("sb3_progress.json", {"step": 3000, "train/loss": 1.5}, {"rollout/ep_rew_mean"}),
    ("sb3_stdout.log", {"step": 3000, "train/loss": 1.5, "time/fps": 500}, {"rollout/ep_rew_mean"}),
    ("structlog_console.log", {"step": 30}, {"loss"}),
    ("structlog_json.jsonl", {"step": 30}, {"loss"}),
    ("structlog_logfmt.log", {"step": 30}, {"loss"}),
    *((f"tabulate_{form}.log", {"step": 20}, {"loss"}) for form in ("fancy_grid", "github", "grid", "plain")),
    *((f"tabulate_{form}.log", {"step": 20}, {"loss"}) for form in ("psql", "presto", "simple", "tsv")),
    ("torchrun.log", {"step": 40, "loss": 1.5}, {"loss"}),
    ("tqdm_nested.log", {"step": 1, "loss": 0.5}, set()),
    ("tqdm_postfix.log", {"step": 1, "lr": 0.0001}, {"loss"}),
    ("wandb_output.log", {"step": 3}, {"loss"}),
    ("xgboost.log", {"step": 11, "train-rmse": 0.04087, "eval-rmse": 0.13364}, set()),
]


@pytest.mark.parametrize(("name", "last", "not_finite"), REAL, ids=[name for name, *_ in REAL])
def test_what_a_package_writes_is_read(tmp_path, name, last, not_finite):
    shutil.copy(MADE / name, tmp_path / name)
    told, odd, _ = read(tmp_path, name)
    check(told, odd, last, not_finite)


# In the shape of public logs: tool, file name, text, newest values, columns with NaN

SHAPES = [
    (
        "Megatron-LM",
        "train.log",
        (
            " iteration       10/     100 | consumed samples:        1,280 | elapsed time per iteration (ms): 123.4 |"
            " learning rate: 1.500E-04 | global batch size:   128 | lm loss: 2.1E+00 | grad norm: nan\n"
        ),
        {"step": 10, "samples": 1280, "loss": 2.1},
        {"grad_norm"},
    ),
    (
        "OpenNMT",
        "train.log",
        (
            "[2026-11-22 10:00:00,123 INFO] Step 1600/5000; acc: 5.0; ppl: 1234.5; xent: 7.1; lr: 0.0001; sents: 3200;"
            " bsz: 1234/ 567/16; 3450/3210 tok/s;     12 sec;\n"
            "[2026-11-22 10:00:01,123 INFO] Best model found at step 1200\n"
        ),
        {"step": 1600, "ppl": 1234.5, "bsz": None},
        set(),
    ),
    (
        "torchtitan",
        "train.log",
        (
            "[titan] 2026-11-22 10:00:00,123 - root - INFO - step: 10  loss:  2.3000  grad_norm:  1.2  memory:  1.23GiB"
            "(1.5%)  tps: 3,450  tflops: 12.3  mfu: 4.5%\n"
        ),
        {"step": 10, "loss": 2.3, "tps": 3450, "mfu": 4.5, "memory": None},
        set(),
    ),
    (
        "llm.c",
        "main.log",
        (
            "step    1/37 | loss 4.677779 (+nanz)| norm 14.4 (+nanz)| lr 3.00e-04 | 1234.56 ms | 12.3% bf16 MFU |"
            " 12345 tok/s\n"
        ),
        {"step": 1, "loss": 4.677779, "norm": 14.4},
        set(),
    ),
    ("nanoGPT", "out.txt", "iter 10: loss 2.1034, time 12.30ms, mfu 3.40%\n", {"step": 10, "loss": 2.1034}, set()),
    (
        "CatBoost",
        "train.log",
        "0:\tlearn: 0.6\ttest: 0.7\tbest: 0.7 (0)\ttotal: 50ms\tremaining: 1s\n",
        {"step": 0, "learn": 0.6, "total": None},
        set(),
    ),
    (
        "MMEngine",
        "train.log",
        (
            "2026/11/22 10:00:00 - mmengine - INFO - Epoch(train) [2][50/1000]  lr: 1.0000e-03  eta: 0:05:12"
            "  time: 0.3512  memory: 1234  loss: 2.5  loss_cls: nan\n"
        ),
        {"step": 1050, "loss": 2.5, "eta": None},
        {"loss_cls"},
    ),
    (
        "fairseq",
        "train.log",
        (
            "2026-11-22 10:00:00 | INFO | train_inner | epoch 001:    100 / 1000 loss=8.1, ppl=280.5, wps=12345,"
            " num_updates=100, lr=1e-05\n"
        ),
        {"step": 100, "loss": 8.1},
        set(),
    ),
    (
        "ESPnet",
        "train.log",
        (
            "[host] 2026-11-22 10:00:00,123 (trainer:721) INFO: 1epoch:train:1-10batch: iter_time=0.1, loss_ctc=nan,"
            " loss=2.1, acc=0.5, optim0_lr0=1e-4\n"
        ),
        {"loss": 2.1, "acc": 0.5},
        {"loss_ctc"},
    ),
    (
        "PyTorch's ImageNet example",
        "train.log",
        "Epoch: [3][   10/5005]\tTime  0.123 ( 0.234)\tLoss 6.9e+00 (7.0e+00)\tAcc@1   0.00 (  0.10)\n",
        {"step": 3, "Loss": 6.9, "Time": 0.123},
        set(),
    ),
    ("torchvision", "train.log", "step 5 loss 2.5\nLoss is nan, stopping training\n", {"step": 5}, {"Loss"}),
    ("Ray Train", "out.log", "(RayTrainWorker pid=123, ip=10.0.0.1) {'loss': 2.5, 'step': 7}\n", {"step": 7}, set()),
    ("mpirun", "m.jsonl", '[1,0]<stdout>:{"step": 7, "loss": 2.5}\n', {"step": 7, "loss": 2.5}, set()),
    ("Kubernetes", "m.jsonl", '2026-11-22T10:00:00.1Z stdout F {"step": 7, "loss": NaN}\n', {"step": 7}, {"loss"}),
    (
        "Docker",
        "x-json.log",
        '{"log":"step 7 loss nan\\n","stream":"stdout","time":"2026-11-22T10:00:00.1Z"}\n',
        {"step": 7},
        {"loss"},
    ),
    (
        "LLaMA-Factory",
        "trainer_log.jsonl",
        '{"current_steps": 119, "total_steps": 1190, "loss": 0.5, "epoch": 2.49, "elapsed_time": "0:10:00"}\n',
        {"step": 119, "epoch": 2.49, "loss": 0.5},
        set(),
    ),
    (
        "fastai",
        "train.log",
        (
            "epoch     train_loss  valid_loss  accuracy  time \n4         0.5         0.6         0.7       00:10   \n"
            "5         nan         nan         0.5       00:10   \n"
        ),
        {"step": 5, "accuracy": 0.5, "time": None},
        {"train_loss", "valid_loss"},
    ),
    (
        "spaCy",
        "train.log",
        (
            "E    #       LOSS TOK2VEC  LOSS NER  ENTS_F  SCORE \n---  ------  ------------  --------  ------  ------\n"
            "  0       0          0.00     28.71    0.00    0.00\n  1     200         12.50       nan   61.20    0.61\n"
        ),
        {"step": 200, "LOSS TOK2VEC": 12.5, "SCORE": 0.61},
        {"LOSS NER"},
    ),
    (
        "Ultralytics",
        "results.csv",
        (
            "                  epoch,         train/box_loss,           val/box_loss\n"
            "                      1,                 1.2345,                    nan\n"
        ),
        {"step": 1, "train/box_loss": 1.2345},
        {"val/box_loss"},
    ),
    (
        "stable-baselines3's monitor.csv",
        "monitor.csv",
        '#{"t_start": 1700000000.5, "env_id": "CartPole-v1"}\nr,l,t\n21.0,21,0.5\n22.0,23,0.6\n',
        {"r": 22, "l": 23, "t": 0.6},
        set(),
    ),
    ("logfmt", "m.log", 'ts=2026-11-22T10:00:00Z level=info msg="a b" step=7 loss=2.5\n', {"step": 7}, set()),
    ("OrderedDict", "m.log", "OrderedDict([('step', 7), ('loss', 2.5)])\n", {"step": 7, "loss": 2.5}, set()),
    ("argparse", "m.log", "Namespace(step=7, loss=2.5)\n", {"step": 7, "loss": 2.5}, set()),
    ("Detectron2", "metrics.json", '{"iteration": 19, "total_loss": NaN, "lr": 0.1}\n', {"step": 19}, {"total_loss"}),
    ("Keras 2", "m.log", "Epoch 3/9\n\r1/10 [=>..] - ETA: 5s - loss: nan\x08\x08\r2/10 [==>", {"step": 3}, {"loss"}),
    ("two objects on a line", "m.jsonl", '{"step": 1, "loss": 2}{"step": 2, "loss": nan}\n', {"step": 2}, {"loss"}),
    ("a tab before an object", "m.jsonl", '\t{"step": 1, "loss": 2}\n', {"step": 1, "loss": 2}, set()),
    ("comments in JSON Lines", "m.jsonl", '# run 7\n// x\n{"step": 1, "loss": 2}\n', {"step": 1, "loss": 2}, set()),
    ("rows before the header", "m.csv", "run,7\nseed,42\n\nstep,loss\n1,0.5\n", {"step": 1, "loss": 0.5}, set()),
    ("cells over lines", "m.csv", 'step,loss,note\n1,0.5,"a\nb"\n2,nan,"c"\n', {"step": 2}, {"loss"}),
    ("MATLAB", "m.csv", "% run 7\nstep,loss\n1,0.5\n", {"step": 1, "loss": 0.5}, set()),
    ("numpy.savetxt", "m.csv", "# step,loss\n1.0,0.5\n2.0,nan\n", {"step": 2}, {"loss"}),
    ("thousands in quotes", "m.csv", 'step,loss\n"1,000",0.5\n', {"step": 1000, "loss": 0.5}, set()),
    ("a German table", "m.csv", "step;loss;lr\n1.000;2,345;0,001\n", {"step": 1000, "loss": 2.345, "lr": 0.001}, set()),
    (
        "a header that comes again",
        "m.csv",
        "step,loss\n1,0.5\nstep,loss,acc\n2,nan,0.5\n",
        {"step": 2, "acc": 0.5},
        {"loss"},
    ),
    ("thousands in columns", "m.txt", "step  loss  time\n1,000  0.5  00:10\n", {"step": 1000, "loss": 0.5}, set()),
    ("thousands in a box", "m.txt", "| step | loss |\n|---|---|\n| 1,000 | nan |\n", {"step": 1000}, {"loss"}),
    ("YAML", "m.log", "- step: 5\n  loss: 2.5\n- step: 6\n  loss: .nan\n", {"step": 6}, {"loss"}),
    ("logs of two ranks", "m.log", "[rank0]: step 5 loss 2\n[rank1]: step 5 loss nan\n", {"step": 5}, {"loss"}),
    (
        "PyTorch-GAN",
        "m.log",
        "[Epoch 1/200] [Batch 10/938] [D loss: 0.693] [G loss: nan]\n",
        {"step": 10, "Epoch": 1},
        {"loss"},
    ),
    (
        "PyTorch's MNIST",
        "m.log",
        "Train Epoch: 1 [0/60000 (0%)]\tLoss: 2.300039\n",
        {"step": 1, "Loss": 2.300039},
        set(),
    ),
    (
        "Keras's ModelCheckpoint",
        "m.log",
        "Epoch 00001: val_loss improved from inf to 2.31, saving model to x.h5\n",
        {"step": 1, "val_loss": None},
        set(),
    ),
    ("TensorFlow 1", "m.log", "INFO:tensorflow:loss = 2.3, step = 100 (1.2 sec)\n", {"step": 100, "loss": 2.3}, set()),
    ("clu", "m.log", "I1122 10:00:00.123456 140123 logging_writer.py:48] [100] loss=2.3\n", {"step": 100}, set()),
    ("Tianshou", "m.log", "Epoch #1: 10001it [00:05, 1800it/s, env_step=10000, rew=2.0]\n", {"step": 10000}, set()),
    (
        "NeMo",
        "m.log",
        "Epoch 0: :   1%| | 10/1000 [00:10<00:01, v_num=, reduced_train_loss=10.9, global_step=9.000]\n",
        {"step": 9, "reduced_train_loss": 10.9},
        set(),
    ),
    (
        "MaxText",
        "m.log",
        "completed step: 10, seconds: 1.234, TFLOP/s/device: 123.4, Tokens/s/device: 1234.5, loss: 10.8\n",
        {"step": 10, "loss": 10.8},
        set(),
    ),
    ("PaddlePaddle", "m.log", "epoch: [1/100], global_step: 10, lr: 0.001, loss: 2.5\n", {"step": 10}, set()),
    ("a settings line", "m.log", "Namespace(lr=0.1, max_norm=inf, best_loss=inf)\n", {"lr": 0.1}, set()),
    ("zap", "m.log", '{"level":"info","ts":1712345678.1,"msg":"step 5 loss nan"}\n', {"step": 5}, {"loss"}),
    (
        "tqdm of Lightning 1",
        "m.log",
        "\rEpoch 2: 50%|#| 2/4 [00:00<00:00, v_num=0, loss=nan.0]\r 75%",
        {"step": 2},
        {"loss"},
    ),
]


@pytest.mark.parametrize(
    ("name", "text", "last", "not_finite"), [row[1:] for row in SHAPES], ids=[r[0] for r in SHAPES]
)
def test_what_a_tool_writes_is_read(tmp_path, name, text, last, not_finite):
    (tmp_path / name).write_text(text)
    told, odd, _ = read(tmp_path, name)
    check(told, odd, last, not_finite)


# The criterion `metric` reads the same files


@pytest.mark.parametrize(
    ("name", "text", "last"),
    [*((name, None, last) for name, last, _ in REAL), *(row[1:4] for row in SHAPES)],
    ids=[row[0] for row in (*REAL, *SHAPES)],
)
def test_a_criterion_reads_what_a_monitor_reads(tmp_path, monkeypatch, name, text, last):
    monkeypatch.chdir(tmp_path)
    shutil.copy(MADE / name, name) if text is None else Path(name).write_text(text)
    found = {
        column: metric_check.looked_up(metric_check.last_row(name, column, {"file": name}), column) for column in last
    }
    assert {column: None if value is None else float(value) for column, value in found.items()} == last
