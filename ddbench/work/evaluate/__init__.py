"""Protocols, the training of students, and the one place that opens the test split."""
