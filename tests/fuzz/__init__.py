"""Coverage-guided fuzzing of what reads bytes from outside; needs the extra ``fuzz`` (atheris)."""
