"""The session, and the transactions, engines and schema behind it, on SQLite and on PostgreSQL."""
