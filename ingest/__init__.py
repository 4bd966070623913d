"""From broker or file to TimescaleDB: decode, validate, aggregate, write, acknowledge."""
