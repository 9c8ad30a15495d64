"""``ddbench results``: show, export, verify, remove and amend."""
