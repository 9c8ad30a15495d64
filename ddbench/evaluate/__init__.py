"""Protocols, the stage that runs them, and metrics: how a condensed set becomes a number."""
