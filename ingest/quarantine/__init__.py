"""What was refused: look at it, replay it after a fix, let go of it.

Quarantine keeps each refused sample once, by a digest of topic, position and payload
(`ingest.writer`). A row leaves it in two ways only: a replay that committed all that the row
holds, or a purge that somebody asked for.
"""
