"""Monitors of a background job: probes, rules, alerts and their schedule.

The way to the alert of a dead training: `scheduler.MonitorScheduler.gather` gives each sample to
`monitor.MonitorState.take`, which applies the rules of `rules/registry.RULES`. `rules/stall.stall` decides that a
training makes no progress (with `liveness.with_signs` for signs of life elsewhere), `rules/nonfinite.nan` and
`rules/loss.divergence` that its result is worthless. `alerts.apply` raises the alert; `supervisor/alert_actions` acts
on it.
"""
