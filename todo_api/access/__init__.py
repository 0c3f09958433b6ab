"""Who may call: callers and their tokens, and the commands of the operator."""
