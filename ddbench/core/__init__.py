"""The words of ddbench, and the machinery of plugins and files; imports nothing above it."""
