"""Which records stand in one table, its rows and its cells."""
