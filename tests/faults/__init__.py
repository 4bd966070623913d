"""Chaos: the ingester against real services that fail, and an oracle that counts afterwards."""
