"""How fast messages become committed samples, end to end, with real services.

    shudao bench ingest --help           # or: make bench ARGS="--baseline"

One run starts a broker and a database of its own, feeds the ingester (the real process) from a
publisher in a process of its own, counts every message, and deletes everything. What belongs to
which file:

    run         the whole benchmark: services, phases one after the other, the document
    phases      one phase: a subject is fed, watched and counted
    subjects    what is fed: the ingester, the plain way (baseline), a receiver that only receives
    publisher   the load; its messages and connections are those of simulators/load
    probe       how long until one sample can be selected
    usage       CPU seconds and memory of processes
    limits      what the database alone can take
    report      the table for people
"""
