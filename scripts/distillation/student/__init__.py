"""The student: its data set, its training, its export."""
