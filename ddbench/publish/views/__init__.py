"""Records as tables for people and programs, each made of columns."""
