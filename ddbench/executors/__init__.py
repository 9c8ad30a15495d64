"""Executors: who runs the nodes of a plan, and where."""
