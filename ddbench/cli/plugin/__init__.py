"""``ddbench plugin``: list, check, diagnose, start and index plugins."""
