"""Rules: pure functions that judge the samples of a monitor."""
