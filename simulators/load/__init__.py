"""The load tester behind `shudao load`: publishes at a rate, and measures from the outside.

run         one run from registration to the report
plan        what is published, by which devices, over which connections
schedule    when each message is due; the shapes
publisher   the loop that hands what is due to sockets
connection  one session and its messages under way; sessions opens them, again where they break
frames      PUBLISH packets in bulk; wire has their protocol
register    devices and places of a run in the database, and their removal
verify      what the database has of it, and how soon
tally       counts; latencies percentiles; report what follows from them
"""
