"""The teacher's answers: prepared, drawn, audited."""
