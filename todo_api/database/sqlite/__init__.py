"""SQLite inside this process: its dialect, its file, and its group commit."""
