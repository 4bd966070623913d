"""Recorded measurements: files of others, read through a small mapping profile.

``profile`` says what a profile may hold, ``profiles/*.toml`` are the ones we ship, ``load`` finds
and validates them; ``read`` takes a file apart into records, ``columns`` turns text into numbers
and times, ``convert`` makes `ingest.batch.Samples` of records, ``importer`` sends those through
the same check → write path as every other sample; ``recording`` reads a file whole, so that it can
be played as live messages.
"""
