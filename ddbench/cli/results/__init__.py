"""Commands on a results folder: show, export, verify, remove, and amend."""
