"""The domain, shared by every part: places, carriers, goals, the message contract, database."""
