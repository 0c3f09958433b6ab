"""What todos do beyond being stored: one module for each ability."""
