"""Commands for plugin authors: list, new, check, doctor."""
