"""Records → tables → text, and the pages of the leaderboard."""
