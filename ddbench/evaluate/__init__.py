"""Protocols, the tensor trainer and metrics: how a condensed set becomes a number."""
