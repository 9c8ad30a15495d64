"""Records become numbers: tables, scores, statistics, audits."""
