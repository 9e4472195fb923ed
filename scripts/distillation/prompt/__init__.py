"""What the teacher is told and asked."""
