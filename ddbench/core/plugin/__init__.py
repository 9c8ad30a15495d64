"""Hooks, the guarded loader, and the registries that it fills."""
