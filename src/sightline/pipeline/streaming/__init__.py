"""A stream: cameras -> one model -> sinks.

feeds.py      the frames of one camera, read by a thread of its own; the newest wins; opened again when it is lost
said.py       what is said after a frame, and of the whole
watching.py   what is remembered of one camera: the model's session, the verdict, the counts
outlets.py    a bounded queue before each sink: none that is slow or broken holds up the stream
sinks.py      where it goes: files, a webhook, the ledger, a marked video
frame_log.py  what of it goes into the ledger; the endpoint keeps by it too
cameras.py    cameras as they are typed, each with its sinks
stream.py     the loop
"""
