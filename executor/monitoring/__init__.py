"""Monitors of a background job: what they read, which rules judge it, when they are due.

Where a training is found dead: `scheduler.MonitorScheduler.gather` takes each sample to `monitor.MonitorState.take`,
which applies the rules of `rules/registry.RULES`. `rules/stall.stall` decides that a training makes no progress (with
`liveness.with_signs` for signs of life elsewhere), `rules/nonfinite.nan` and `rules/loss.divergence` that its result is
worthless. `alerts.weigh` raises the alert; `supervisor/alert_actions` acts on it.
"""
