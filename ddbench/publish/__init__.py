"""Numbers become text, views, pages, plots and leaderboards."""
