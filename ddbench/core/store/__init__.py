"""Files on disk: results, artifacts, claims, and how they are written whole."""
