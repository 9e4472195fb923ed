"""The teacher's answers: preparation, sampling, audit."""
