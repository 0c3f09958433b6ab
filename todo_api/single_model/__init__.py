"""One class is the table, the response and both request bodies."""
