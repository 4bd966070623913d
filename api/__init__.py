"""FastAPI over the same database."""
