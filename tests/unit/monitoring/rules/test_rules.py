"""Rules over simulated trainings: what stands, when, and what stays quiet."""

from __future__ import annotations

import json
import math
import random

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from executor.monitoring import alerts
from executor.monitoring.model import Sample
from executor.monitoring.rules.registry import RULES, read_rule

KIND = {
    "nan": "metrics",
    "divergence": "metrics",
    "plateau": "metrics",
    "stall": "metrics",
    "overfit": "metrics",
    "throughput_drop": "metrics",
    "checkpoint_age": "checkpoints",
    "disk_hours_left": "disk",
    "rss_growth": "process",
}


# A training, simulated


class Training:
    """What probes see of a training, in simulated seconds; `fault` begins after step `at` and is told at `told_s`."""

    def __init__(self, seed, fault="", **how):
        usual = {"at": 2000, "steps": 6000, "step_s": 1.0, "interval_s": 15.0, "log_every": 5, "noise": 0.05}
        pauses = {"start_s": 60.0, "eval_every": 250, "eval_s": 40.0, "save_every": 400, "save_s": 20.0}
        self.__dict__.update(usual, **pauses, seed=seed, fault=fault, tau=1500.0, speed=1.0, hang_s=3 * 3600)
        self.__dict__.update(how)
        self.chance, self.told_s = random.Random(seed), math.inf

    def past(self, step):
        return self.speed * max(0, step - self.at)

    def level(self, step):
        return 0.5 + 9.0 * (1 + 20 * (min(step, self.at) if self.fault == "plateau" else step) / self.tau) ** -0.35

    def loss(self, step):
        blown = {"divergence": min(4.0, 1 + self.past(step) / 50), "nan": math.nan if self.past(step) else 1.0}
        spike = 3 if self.chance.random() < 0.002 else 1
        learnt = min(1.5, self.past(step) / 2500) if self.fault == "overfit" else 0
        return (self.level(step) - learnt) * blown.get(self.fault, 1) * spike * self.jitter(self.noise)

    def val_loss(self, step):
        worse = {"divergence": 3.0, "nan": math.nan}.get(self.fault, 1.0) if self.past(step) else 1.0
        more = self.past(step) / 2000 if self.fault == "overfit" else 0
        return (0.1 + self.level(step) + more) * worse * self.jitter(0.01)

    def jitter(self, width):
        return math.exp(self.chance.gauss(0, width))

    def events(self):
        """Yield (time, what): rows of metrics, and None for a checkpoint."""
        now_s = self.start_s
        for step in range(1, self.steps + 1):
            if self.fault and step == self.at + 1:
                self.told_s = now_s
            slow = 4 if self.fault == "throughput_drop" and step > self.at else 8 if step < 4 else 1
            now_s += self.step_s * slow * self.jitter(0.15)
            now_s += self.hang_s if self.fault == "stall" and step == self.at + 1 else 0
            if step % self.log_every == 0:
                yield now_s, {"step": step, "loss": self.loss(step), "lr": 1e-3}
            if step % self.eval_every == 0:
                now_s += self.eval_s * self.chance.uniform(0.7, 1.1)
                yield now_s, {"step": step, "val_loss": self.val_loss(step)}
            if step % self.save_every == 0:
                now_s += self.save_s * self.chance.uniform(0.5, 1.3)
                if not (self.fault == "checkpoint_age" and step > self.at):
                    yield now_s, None

    def looks(self):
        """Yield for each look what every probe saw."""
        at_s, rows, seen = self.interval_s, [], {"step": None, "saved": 0, "born_s": 0.0, "judged": 0}
        for now_s, row in self.events():
            while at_s < now_s:
                yield self.readings(at_s, tuple(rows), **seen)
                at_s += self.interval_s * self.chance.uniform(0.95, 1.15)
                rows = []
            if row is None:
                seen = {**seen, "saved": seen["saved"] + 1, "born_s": now_s}
            else:
                rows.append(row)
                seen = {**seen, "step": row["step"], "judged": seen["judged"] + ("val_loss" in row)}

    def readings(self, at_s, rows, *, step, saved, born_s, judged):
        since_s = self.speed * max(0.0, at_s - self.told_s)
        free = 300e9 - 8e9 * min(saved, 3) - 1e4 * at_s - (40e6 * since_s if self.fault == "disk_hours_left" else 0)
        buffers = 1 + 0.3 * bool(judged) + 0.3 * bool(saved)
        rss = 4e9 * min(1, at_s / self.start_s) * buffers * self.chance.uniform(0.98, 1.02)
        rss += 2e6 * since_s if self.fault == "rss_growth" else 0
        return {
            "metrics": Sample(at_s, there=step is not None, progress=step, rows=rows),
            "checkpoints": Sample(at_s, there=saved > 0, values={"age_s": at_s - born_s, "count": min(saved, 3)}),
            "disk": Sample(at_s, values={"free_bytes": max(0, free), "writable": float(free > 0)}),
            "process": Sample(at_s, values={"rss_bytes": rss}, signs=step or 0),
        }


def any_training(seed):
    """A healthy training of any make: fast or slow, calm or noisy, with pauses of its own."""
    chance = random.Random(seed)
    return Training(
        seed,
        steps=5000,
        interval_s=chance.choice([5, 15, 30, 60]),
        step_s=chance.choice([0.3, 1, 3]),
        log_every=chance.choice([1, 5, 20]),
        eval_every=chance.choice([100, 250, 1000]),
        eval_s=chance.uniform(5, 45),
        save_s=chance.uniform(2, 40),
        start_s=chance.uniform(10, 400),
        noise=chance.choice([0.02, 0.05, 0.15, 0.3]),
        tau=chance.choice([800, 1500, 4000]),
    )


def small_training(seed, fault="", **how):
    """One of seconds, looked at twice a second."""
    chance = random.Random(seed)
    pace = {"interval_s": 0.5, "step_s": 0.1, "log_every": 1, "steps": 260, "at": 80, "noise": 0.04, "tau": 600}
    pauses = {"eval_every": chance.choice([25, 40]), "eval_s": chance.uniform(0.4, 1.3), "start_s": 3 + seed % 4}
    saves = {"save_every": chance.choice([20, 34]), "save_s": chance.uniform(0.1, 1)}
    return Training(seed, fault, **{**pace, **pauses, **saves, "speed": 60, "hang_s": 60, **how})


PATIENT = {"plateau": 2500}
SMALL = {
    "stall": {"times": 6, "floor": 4, "warmup": 15},
    "overfit": 3,
    "plateau": 110,
    "throughput_drop": {"window": 2},
    "checkpoint_age": {"times": 3, "floor": 8, "warmup": 60},
    "rss_growth": {"warmup": 8, "window": 6},
    "disk_hours_left": 0.005,
}


def watch(training, args, *, saved=lambda memory: memory):
    """Apply every rule at every look; return what was raised and cleared as (rule, what, time, text)."""
    rules = {
        name: read_rule({name: args.get(name)}, monitor_kind=kind, interval_s=training.interval_s)
        for name, kind in KIND.items()
    }
    memories, standing, excused, told = {name: {} for name in rules}, {}, {}, []
    for seen in training.looks():
        for name, rule in rules.items():
            reading = seen[KIND[name]]
            said = RULES[name].judge(rule.args, memories[name], reading)
            memories[name] = saved(memories[name])
            standing, what = alerts.apply(
                standing, f"m/{name}", said, action="notify", now_s=reading.at_s, excused=excused
            )
            told += [(name, what, reading.at_s, said.text)] if what else []
    return told


def raised(told):
    return [name for name, what, _, _ in told if what == "raised"]


def delay_s(training, told):
    return told[0][2] - training.told_s


@pytest.mark.parametrize("seed", range(12))
def test_a_healthy_training_raises_nothing(seed):
    assert watch(any_training(seed), PATIENT) == []


@pytest.mark.parametrize("seed", range(12))
def test_a_healthy_training_of_seconds_raises_nothing(seed):
    assert watch(small_training(seed), SMALL) == []


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 400))
def test_no_healthy_training_of_many_raises_anything(seed):
    assert watch(any_training(seed), PATIENT) == []
    assert watch(small_training(seed), SMALL) == []


LATEST_S = {  # from the beginning of a fault to its alert: looks each 15 s, a row each 5 s
    "nan": 20,
    "divergence": 120,
    "plateau": 6500,
    "stall": 450,
    "overfit": 3000,
    "throughput_drop": 600,
    "checkpoint_age": 1500,
    "disk_hours_left": 1800,
    "rss_growth": 600,
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("fault", KIND)
def test_a_fault_is_found_by_its_rule_and_no_other(fault, seed):
    training = Training(seed, fault, at=2500, steps=9000 if fault == "plateau" else 6000)
    told = watch(training, PATIENT)
    assert raised(told) == [fault]
    assert 0 < delay_s(training, told) <= LATEST_S[fault]


SOON_S = {"nan": 1, "divergence": 12, "stall": 12, "overfit": 20, "checkpoint_age": 16, "rss_growth": 14}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", SOON_S)
def test_a_fault_of_a_training_of_seconds_is_found_by_its_rule_and_no_other(fault, seed):
    training = small_training(seed, fault)
    told = watch(training, SMALL)
    assert raised(told) == [fault]
    assert delay_s(training, told) <= SOON_S[fault]


@pytest.mark.parametrize(("fault", "how"), [("throughput_drop", {"at": 120}), ("plateau", {"steps": 400})])
def test_a_slower_fault_of_a_training_of_seconds_is_found_too(fault, how):
    assert raised(watch(small_training(1, fault, **how), SMALL)) == [fault]


@pytest.mark.parametrize("fault", ["", *KIND])
def test_a_memory_saved_as_json_at_each_look_judges_alike(fault):
    def saved(memory):
        again = json.loads(json.dumps(memory, allow_nan=False))
        assert again == memory
        return again

    how = {"at": 1500, "steps": 2500}
    assert watch(Training(3, fault, **how), PATIENT, saved=saved) == watch(Training(3, fault, **how), PATIENT)


# One rule at a time


class Watch:
    """One rule, shown one reading after another."""

    def __init__(self, written, kind="metrics", interval_s=10.0):
        self.rule = read_rule(written, monitor_kind=kind, interval_s=interval_s)
        self.interval_s, self.at_s, self.memory, self.said = interval_s, 0.0, {}, None

    def see(self, *, after_s=None, **seen):
        self.at_s += self.interval_s if after_s is None else after_s
        self.said = RULES[self.rule.kind].judge(self.rule.args, self.memory, Sample(self.at_s, **seen))
        return self.said.stands

    def rows(self, *losses, name="loss"):
        at = self.memory.get("shown", 0)
        self.memory["shown"] = at + len(losses)
        return self.see(rows=tuple({"step": at + place + 1, name: loss} for place, loss in enumerate(losses)))

    def steps(self, *counts, **how):
        return [self.see(progress=done, **how) for done in counts][-1]


def steady(count, level=2.0, seed=0):
    chance = random.Random(seed)
    return [level * (1 + chance.gauss(0, 0.03)) for _ in range(count)]


def test_nan_stands_at_once_with_metric_value_and_step():
    watch = Watch("nan")
    watch.rows(1.0, 0.9)
    assert watch.rows(math.nan)
    assert watch.said.text == "loss is nan at step 3"


def test_nan_clears_after_ten_finite_rows():
    watch = Watch("nan")
    assert watch.rows(math.inf)
    assert [watch.rows(1.0) for _ in range(11)] == [True] * 9 + [False] * 2


def test_nan_that_came_and_went_between_two_looks_is_told():
    watch = Watch("nan")
    assert watch.rows(math.nan, *[1.0] * 20)
    assert watch.rows(1.0) is False


def test_nan_is_not_forgotten_because_of_rows_of_other_columns():
    watch = Watch("nan")
    watch.rows(math.nan)
    assert watch.rows(*[3.0] * 20, name="lr")


@pytest.mark.parametrize("name", ["grad_norm", "best_val_loss", "time/eta"])
def test_nan_where_healthy_trainings_write_it_is_no_alert(name):
    assert Watch("nan").rows(math.inf, name=name) is False


def test_nan_of_a_written_metric_counts_whatever_its_name():
    watch = Watch({"nan": "grad_norm"})
    assert watch.rows(math.nan) is False
    assert watch.rows(math.nan, name="grad_norm")


def test_nan_that_says_not_evaluated_is_no_alert():
    watch = Watch("nan")
    blank, full = {"loss": 2.0, "val_loss": math.nan}, {"loss": 1.9, "val_loss": 2.1}
    assert [watch.see(rows=(row,)) for row in (blank, blank, full, blank)] == [False] * 4


@pytest.mark.parametrize("first", [{"val_loss": 2.1}, {"loss": 2.0, "val_loss": 2.1}])
def test_nan_of_an_evaluation_that_began_well_stands(first):
    watch = Watch("nan")
    watch.see(rows=(first,))
    assert watch.see(rows=({"loss": 2.0, "val_loss": math.nan},))


def test_nan_is_seen_in_values_where_there_are_no_rows():
    assert Watch("nan").see(values={"loss": math.nan})


def test_no_rows_are_no_opinion():
    for name in ("nan", "divergence", "plateau", "overfit"):
        watch = Watch(name)
        watch.rows(*steady(30))
        assert watch.see() is None


def test_divergence_needs_patience():
    watch = Watch("divergence")
    watch.rows(*steady(100))
    assert [watch.rows(9.0) for _ in range(10)] == [False] * 9 + [True]
    assert watch.said.samples == (9.0,) * 5


def test_a_spike_is_no_divergence():
    watch = Watch("divergence")
    assert watch.rows(*steady(100), *[50.0] * 9, *steady(100), *[50.0] * 9, 2.0) is False


def test_divergence_stands_however_long_it_lasts_and_clears_when_it_is_over():
    watch = Watch("divergence")
    assert watch.rows(*steady(100), *steady(1000, 9.0))
    assert watch.rows(*steady(9))
    assert watch.rows(2.0) is False


def test_divergence_by_small_steps_is_found():
    watch = Watch("divergence")
    assert watch.rows(*steady(200), *(2.0 * 1.004**place for place in range(300)))


def test_divergence_never_stands_before_the_warm_up():
    assert Watch("divergence").rows(2.0, 2.0, *[90.0] * 15) is None


def test_a_warm_restart_is_no_divergence():
    assert Watch("divergence").rows(*steady(50, 2.3), *steady(300, 0.05), *steady(100, 0.5)) is False


def test_divergence_of_a_negative_loss_is_found():
    watch = Watch("divergence")
    assert watch.rows(*steady(50, -100.0), *steady(200, -500.0)) is False
    assert watch.rows(*steady(30, -100.0))


def test_nan_rows_are_not_of_divergence():
    watch = Watch("divergence")
    watch.rows(*steady(100))
    assert watch.rows(*[math.nan] * 50) is None
    assert watch.rows(2.0) is False


@pytest.mark.parametrize(
    ("names", "watched"),
    [
        (("lr", "loss"), "loss"),
        (("aux_loss", "train_loss"), "train_loss"),
        (("val_loss", "train/loss"), "train/loss"),
        (("eval/loss", "loss_scale", "value_loss"), "value_loss"),
        (("test/nll", "train_mean_nll"), "train_mean_nll"),
    ],
)
def test_the_loss_of_the_training_is_found_by_its_name(names, watched):
    watch = Watch("divergence")
    for value in [*steady(100), *[9.0] * 10]:
        watch.see(rows=({name: value if name == watched else 1.0 for name in names},))
    assert watch.said.text.startswith(f"{watched} is 9")


def test_a_metric_that_gets_better_is_no_plateau():
    chance = random.Random(1)
    losses = [5 * (1 + place) ** -0.3 * (1 + chance.gauss(0, 0.02)) for place in range(3000)]
    watch = Watch({"plateau": 500})
    assert True not in [watch.rows(loss) for loss in losses]


def test_a_flat_metric_is_a_plateau_after_its_patience():
    watch = Watch({"plateau": 500})
    said = [watch.rows(loss) for loss in steady(2000)]
    assert True not in said[:600]
    assert said[-1]


def test_a_plateau_is_counted_in_steps_where_the_file_has_them():
    watch = Watch({"plateau": 500})
    said = [watch.see(rows=({"step": 10 * place, "loss": loss},)) for place, loss in enumerate(steady(200))]
    assert said[-1]


def test_an_accuracy_that_rises_is_no_plateau():
    for better, stands in (("higher", False), ("lower", None)):
        watch = Watch({"plateau": {"metric": "acc", "better": better, "patience": 200}})
        said = [watch.rows(0.5 + place / 4000, name="acc") for place in range(1500)]
        assert said[-1] is stands


def evaluated(watch, *pairs):
    return [watch.see(rows=({"loss": train}, {"val_loss": val})) for train, val in pairs][-1]


def test_validation_up_while_training_falls_is_overfit():
    watch = Watch({"overfit": 3})
    evaluated(watch, (2.0, 2.1), (1.8, 2.0), (1.6, 2.2), (1.4, 2.4))
    assert watch.said.stands is False
    assert evaluated(watch, (1.2, 2.6))
    assert watch.said.text == "val_loss is 2.6, its best was 2, while loss fell"


def test_both_up_is_no_overfit():
    watch = Watch({"overfit": 3})
    assert evaluated(watch, (2.0, 2.1), (1.8, 2.0), *((2.0 + up / 5, 2.2 + up / 5) for up in range(9))) is False


def test_validation_that_wavers_is_no_overfit():
    chance = random.Random(2)
    watch = Watch({"overfit": 3})
    pairs = [(2 / (1 + place / 50), 2.0 * (1 + chance.gauss(0, 0.03))) for place in range(400)]
    assert True not in [evaluated(watch, pair) for pair in pairs]


def test_overfit_clears_when_validation_is_good_again():
    watch = Watch({"overfit": 3})
    assert evaluated(watch, (2.0, 2.0), (1.6, 2.2), (1.4, 2.4), (1.2, 2.6))
    assert evaluated(watch, (1.2, 2.0), (1.2, 2.0)) is False


# Progress


def going(watch, looks, *, every=1, start=0):
    """Let progress come every so many looks; return how far it is."""
    for look in range(1, looks + 1):
        assert watch.see(progress=start + look // every) is not True
    return start + looks // every


def until_raised(watch, limit=10_000, **seen):
    """Return the seconds until it stands."""
    began_s = watch.at_s
    while not watch.see(**seen):
        assert watch.at_s - began_s < limit, "it never stands"
    return watch.at_s - began_s


def test_a_stall_stands_after_times_the_slowest_interval():
    watch = Watch({"stall": 6})
    done = going(watch, 100, every=3)
    assert 170 < until_raised(watch, progress=done) <= 200
    assert watch.said.text == "no progress since 33 for 3 min (limit 3 min, the slowest interval was 30 s)"


def test_a_stall_waits_for_its_floor():
    watch = Watch({"stall": {"times": 6, "floor": "5m"}})
    done = going(watch, 100)
    assert until_raised(watch, progress=done) == 310


def test_a_pause_that_was_met_before_is_no_stall():
    watch = Watch({"stall": {"times": 6, "floor": 60}})
    done = 0
    for _ in range(20):
        done = going(watch, 60, start=done)
        for _ in range(5):
            assert not watch.see(progress=done)
    assert until_raised(watch, progress=done) > 300


def test_no_first_progress_stalls_only_after_the_warm_up():
    for seen in ({"there": False}, {"progress": 0}):
        watch = Watch({"stall": {"warmup": "10m"}})
        watch.see(**seen)
        assert until_raised(watch, **seen) == 610


def test_a_stall_clears_with_the_first_progress_and_teaches_nothing():
    watch = Watch({"stall": 6})
    going(watch, 50)
    first_s = until_raised(watch, progress=50)
    for _ in range(500):
        watch.see(progress=50)
    assert watch.steps(51) is False
    going(watch, 20, start=51)
    assert until_raised(watch, progress=71) == first_s


def test_the_second_stall_that_ended_by_itself_is_a_habit():
    watch = Watch({"stall": 6})
    done = going(watch, 50)
    for _ in range(2):
        assert until_raised(watch, progress=done) < 100
        for _ in range(3):
            watch.see(progress=done)
        done = going(watch, 30, start=done + 1)
    assert until_raised(watch, progress=done) > 500


def test_a_gap_in_our_looks_is_no_stall():
    watch = Watch({"stall": 6})
    done = going(watch, 50)
    assert [watch.see(progress=done, after_s=after_s) for after_s in (90_000, 10, 10)] == [False] * 3
    assert until_raised(watch, progress=done) <= 60


def test_looks_that_are_all_late_still_find_a_stall():
    watch = Watch({"stall": 6})
    for done in range(1, 40):
        watch.see(progress=done, after_s=45)
    assert True in [watch.see(progress=39, after_s=45) for _ in range(20)]


def test_a_restart_from_a_checkpoint_is_progress():
    watch = Watch({"stall": 6})
    done = going(watch, 50)
    for _ in range(5):
        watch.see(progress=done)
    watch.see(progress=20)
    assert until_raised(watch, progress=20) > 60


def test_progress_that_is_gone_waits_for_the_warm_up_again():
    watch = Watch({"stall": 6})
    going(watch, 50)
    assert until_raised(watch, there=False) > 600


def test_no_progress_known_is_no_opinion():
    for name in ("stall", "throughput_drop"):
        assert Watch(name).see(progress=None) is None
        assert Watch(name).see(progress=math.nan) is None


def test_throughput_under_half_for_three_windows_stands():
    watch = Watch("throughput_drop")
    going(watch, 200)
    for look in range(200):
        watch.see(progress=200 + look // 3)
    assert watch.said.stands is not False
    assert watch.memory["stands"]


def test_throughput_a_little_lower_is_no_drop():
    watch = Watch("throughput_drop")
    for look in range(200):
        watch.see(progress=10 * look)
    for look in range(400):
        assert watch.see(progress=2000 + 6 * look) is not True


def test_no_throughput_at_all_is_the_business_of_stall():
    watch = Watch("throughput_drop")
    done = going(watch, 200)
    assert {watch.see(progress=done) for _ in range(500)} == {None}
    going(watch, 200, start=done)


def test_throughput_drop_clears_with_the_old_pace():
    watch = Watch("throughput_drop")
    going(watch, 200)
    for look in range(300):
        watch.see(progress=200 + look // 3)
    assert False in [watch.see(progress=300 + look) for look in range(60)]


def saved(watch, every_looks, count, **how):
    """Let checkpoints come; return whether it stood at any look."""
    stood = False
    for _ in range(count):
        for look in range(every_looks):
            age_s = look * watch.interval_s
            stood |= bool(watch.see(values={"age_s": age_s, "count": 1}, **how))
    return stood


def aging(watch, count=1.0, age_s=0.0):
    """Return the age at which it stands."""
    while not watch.see(there=count > 0, values={"age_s": age_s, "count": count}):
        age_s += watch.interval_s
        assert age_s < 100_000
    return age_s


def test_a_checkpoint_older_than_the_limit_stands_and_a_new_one_clears():
    watch = Watch({"checkpoint_age": "30m"}, "checkpoints", 60)
    assert aging(watch) == 1860
    assert watch.see(values={"age_s": 5, "count": 2}) is False


def test_checkpoints_are_late_by_their_own_slowest_interval():
    watch = Watch({"checkpoint_age": "3x"}, "checkpoints", 60)
    assert not saved(watch, 10, 5)
    assert 1800 < aging(watch) <= 1860


def test_a_first_checkpoint_is_awaited_for_the_warm_up():
    watch = Watch({"checkpoint_age": {"times": 3, "warmup": "1h"}}, "checkpoints", 60)
    assert aging(watch, count=0.0) == 3660
    assert watch.said.text == "no checkpoint for 61 min (limit 60 min)"


def test_a_gap_in_our_looks_makes_no_checkpoint_old():
    watch = Watch({"checkpoint_age": "30m"}, "checkpoints", 60)
    watch.see(values={"age_s": 0, "count": 1})
    assert not watch.see(after_s=50_000, values={"age_s": 50_000, "count": 1})
    assert aging(watch, age_s=50_060) < 52_000


# Disk and memory


def disk(watch, free, looks=1, **values):
    return [watch.see(values={"free_bytes": free(look), "writable": 1.0, **values}) for look in range(looks)][-1]


def test_a_disk_that_fills_stands_when_the_hours_are_few():
    watch = Watch({"disk_hours_left": 4}, "disk", 60)
    assert disk(watch, lambda look: 100e9 - look * 0.5e9, 35)
    assert watch.said.text == "83 GB free, full in 2.8 h at this rate"


def test_a_disk_with_hours_enough_is_well():
    assert disk(Watch({"disk_hours_left": 4}, "disk", 60), lambda look: 900e9 - look * 0.5e9, 100) is False


def test_one_checkpoint_is_no_trend_even_when_it_takes_minutes():
    watch = Watch({"disk_hours_left": 12}, "disk", 60)
    for look in range(200):
        assert not disk(watch, lambda _, look=look: 100e9 - min(10, max(0, look - 100)) * 2e9)


def test_checkpoints_that_pile_up_are_a_trend():
    watch = Watch({"disk_hours_left": 24}, "disk", 60)
    assert disk(watch, lambda look: 200e9 - look // 20 * 5e9, 150)


def test_checkpoints_that_make_room_for_each_other_are_none():
    watch = Watch({"disk_hours_left": 12}, "disk", 60)
    for look in range(300):
        assert not disk(watch, lambda _, look=look: 40e9 - look % 20 // 10 * 10e9)


@pytest.mark.parametrize("values", [{"writable": 0.0}, {"free_bytes": 50e6, "total_bytes": 1e12}])
def test_a_full_disk_stands_at_once(values):
    assert disk(Watch("disk_hours_left", "disk"), lambda _: 50e9, **values)


def test_a_small_disk_is_full_only_at_a_twentieth():
    watch = Watch("disk_hours_left", "disk")
    assert disk(watch, lambda _: 12e6) is False
    assert disk(watch, lambda _: 0.5e6)


def test_a_disk_alert_does_not_flap_at_its_limit():
    watch = Watch({"disk_hours_left": {"floor": "1GB"}}, "disk")
    disk(watch, lambda _: 500e9)
    assert [disk(watch, lambda _, free=free: free) for free in (0.99e9, 1.01e9, 0.99e9, 1.2e9, 1.4e9)] == [True] * 5
    assert disk(watch, lambda _: 9e9, 3) is False


def rss(watch, size, looks):
    return [watch.see(values={"rss_bytes": size(look)}, signs=look) for look in range(looks)]


def test_memory_that_grows_and_grows_is_a_leak():
    watch = Watch("rss_growth", "process")
    assert rss(watch, lambda look: 4e9 + look * 30e6, 200)[-1]
    assert watch.said.text == "memory grew from 5.02 GB to 9.97 GB and grows on"


def test_a_slow_leak_is_found_too():
    assert rss(Watch("rss_growth", "process", 60), lambda look: 4e9 + look * 4e6, 1000)[-1]


@pytest.mark.parametrize(
    "size",
    [
        lambda look: 4e9 + 4e9 * (look > 100),
        lambda look: 4e9 + 1.5e9 * (look > 100) + 1.5e9 * (look > 130) + 1.5e9 * (look > 150),
        lambda look: 4e9 + 4e9 * (1 - math.exp(-look / 40)),
        lambda look: 4e9 + 3e9 * (look % 30) / 30,
        lambda look: 4e9 + look * 1e6,
        lambda look: 30e6 + look * 0.05e6,
    ],
    ids=["a step", "steps", "levels off", "to and fro", "under the share", "small"],
)
def test_what_is_no_leak(size):
    assert True not in rss(Watch("rss_growth", "process"), size, 600)


def test_a_leak_is_over_when_the_memory_is_given_back():
    watch = Watch("rss_growth", "process")
    assert rss(watch, lambda look: 4e9 + look * 30e6, 200)[-1]
    assert rss(watch, lambda _: 4e9, 60)[-1] is False


def test_memory_of_a_job_that_only_loads_is_no_leak_until_much_later():
    watch = Watch("rss_growth", "process")
    seen = [watch.see(values={"rss_bytes": 1e9 + look * 100e6}) for look in range(400)]
    assert True not in seen[: 6 * 30]
    assert seen[-1]


def test_memory_counts_from_the_first_sign_of_life():
    watch = Watch("rss_growth", "process")
    seen = [watch.see(values={"rss_bytes": 1e9 + look * 100e6}, signs=max(0, look - 60)) for look in range(200)]
    assert True not in seen[:60]
    assert seen[-1]


# Whatever comes


NUMBERS = st.one_of(st.floats(-1e100, 1e100), st.sampled_from([math.nan, math.inf, -math.inf, 0.0]))
SEEN = st.fixed_dictionaries(
    {},
    optional={
        "there": st.booleans(),
        "progress": st.none() | NUMBERS,
        "rows": st.lists(st.dictionaries(st.sampled_from(["step", "loss", "val_loss"]), NUMBERS), max_size=5).map(
            tuple
        ),
        "values": st.dictionaries(st.sampled_from(["age_s", "count", "free_bytes", "writable", "rss_bytes"]), NUMBERS),
    },
)


@pytest.mark.parametrize("name", KIND)
@given(looks=st.lists(st.tuples(st.floats(-100, 1e5), SEEN), max_size=40))
def test_nothing_seen_breaks_a_rule_nor_its_memory(name, looks):
    watch = Watch(name, KIND[name])
    for after_s, seen in looks:
        assert watch.see(after_s=after_s, **seen) in (True, False, None)
        assert bool(watch.said.text) == bool(watch.said.stands)
        assert all(map(math.isfinite, watch.said.samples))
        watch.memory = json.loads(json.dumps(watch.memory, allow_nan=False))


# As written


def read(written, kind="metrics", interval_s=10.0):
    return read_rule(written, monitor_kind=kind, interval_s=interval_s)


def test_a_rule_by_name_has_all_its_arguments():
    assert read("stall").args == {"times": 6.0, "floor": 60.0, "warmup": 600.0, "interval": 10.0}


def test_the_floor_follows_rare_looks():
    assert read("stall", interval_s=60.0).args["floor"] == 180.0


@pytest.mark.parametrize(
    ("written", "kind", "key", "value"),
    [
        ({"stall": "6x"}, "metrics", "times", 6.0),
        ({"stall": 4}, "metrics", "times", 4.0),
        ({"stall": {"warmup": "10m"}}, "log", "warmup", 600.0),
        ({"stall": {"floor": 90}}, "progress", "floor", 90.0),
        ({"plateau": 500}, "metrics", "patience", 500),
        ({"plateau": {"min_delta": "0.1%"}}, "metrics", "min_delta", 0.001),
        ({"checkpoint_age": "2h"}, "checkpoints", "limit", 7200.0),
        ({"checkpoint_age": "1d"}, "checkpoints", "limit", 86400.0),
        ({"checkpoint_age": "4x"}, "checkpoints", "times", 4.0),
        ({"checkpoint_age": {"limit": "4X"}}, "checkpoints", "times", 4.0),
        ({"disk_hours_left": 4}, "disk", "limit", 14400.0),
        ({"disk_hours_left": "30m"}, "disk", "limit", 1800.0),
        ({"disk_hours_left": {"floor": "500MB"}}, "disk", "floor", 500e6),
        ({"disk_hours_left": {"floor": "2GiB"}}, "disk", "floor", 2.0 * 1024**3),
        ({"rss_growth": "150%"}, "process", "share", 1.5),
        ({"throughput_drop": 0.3}, "metrics", "share", 0.3),
        ({"nan": "loss"}, "metrics", "metric", "loss"),
        ({"nan": None}, "metrics", "clear", 10),
        ({"nan": True}, "metrics", "metric", None),
    ],
)
def test_an_argument_is_read_in_its_unit(written, kind, key, value):
    assert read(written, kind).args[key] == value


@pytest.mark.parametrize(
    ("written", "kind", "says"),
    [
        ("stal", "metrics", "no rule is named 'stal'; did you mean stall; there are nan, "),
        ({"stall": {"flor": 1}}, "metrics", "stall takes no 'flor'; did you mean floor; it takes times, floor, warmup"),
        ({"stall": "60s"}, "metrics", "stall: times is '60s', must be a factor above 1, such as 6x: {stall: 6x}"),
        ({"stall": {"floor": "6x"}}, "metrics", "stall: floor is '6x', must be a time such as 90, 90s, 10m or 1h30m"),
        ({"stall": True, "nan": True}, "metrics", "got a mapping with 'stall', 'nan'"),
        (["stall"], "metrics", "a rule is its name, or one name with its arguments: nan, or {stall: 6x}; got a list"),
        (math.nan, "metrics", "a rule is its name"),
        ({7: 1}, "metrics", "no rule is named '7'"),
        ({"plateau": 0}, "metrics", "plateau: patience is 0, must be a whole number"),
        ({"plateau": 1.5}, "metrics", "must be a whole number"),
        ({"plateau": {"better": "up"}}, "metrics", "must be lower or higher"),
        ({"throughput_drop": 50}, "metrics", "throughput_drop: share is 50, must be a share above 0 and below 1"),
        ({"rss_growth": 50}, "process", "rss_growth: share is 50, must be a share such as 50% or 0.5"),
        ({"stall": {"times": True}}, "metrics", "times is true"),
        ({"stall": {"times": math.inf}}, "metrics", "times is inf"),
        ({"stall": {"floor": 0}}, "metrics", "floor is 0"),
        ({"disk_hours_left": {"floor": "2s"}}, "disk", "must be a size such as 512, 10MB or 1.5GiB"),
        ({"nan": ""}, "metrics", "must be the name of a column"),
        (
            "stall",
            "disk",
            "stall does not fit disk: it is for metrics, checkpoints, progress, log; for disk there is disk",
        ),
        ("nan", "command", "nan does not fit command: it is for metrics; no rule fits command"),
    ],
)
def test_what_is_wrong_is_said_with_the_cure(written, kind, says):
    with pytest.raises(ValueError, match=r"rule|must|takes|fit") as wrong:
        read(written, kind)
    assert says in str(wrong.value)


@given(st.recursive(st.none() | st.booleans() | NUMBERS | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from([*RULES, "times", "floor", "patience", "x"]) | st.text(), inner)))  # fmt: skip
def test_whatever_is_written_is_a_rule_or_a_reason(written):
    for kind in {*KIND.values()}:
        try:
            assert read(written, kind).kind in RULES
        except ValueError as wrong:
            assert str(wrong)  # noqa: PT017 - any reason will do


@pytest.mark.parametrize("name", RULES)
def test_a_row_of_the_table_is_complete(name):
    kind = RULES[name]
    assert kind.units.keys() == kind.defaults.keys()
    assert kind.short in kind.defaults
    assert kind.description.endswith(".")
    for written in kind.example.split(", or "):
        loaded = yaml.safe_load(written)
        assert read(loaded, kind.fits[0]).kind == name
