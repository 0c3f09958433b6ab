"""PostgreSQL over a pool: its connections and its driver."""
