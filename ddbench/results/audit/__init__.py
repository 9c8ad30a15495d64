"""Looks at a finished result again: verify, quartiles, quantised, stopped early."""
