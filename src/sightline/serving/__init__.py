"""The endpoint of a task: one ASGI application, the same for every task.

    guard.py      what may come in: token, size, time, origin; pure ASGI, before anything is parsed
    app.py        the routes
    engine.py     bytes -> decoded input -> batch -> prediction -> ledger -> answer
    batching.py   the micro-batcher and the measuring of the best batch
    champion.py   which model answers, and how a new one takes over without a request being dropped
    areas.py      the routes of areas on the map, where the model looks at such
    orders.py     what a client asks for when it asks for an area, checked and planned
    surveyor.py   the thread that looks at the areas that are queued
    map_tiles.py  the tiles of the page's map
    metrics.py    what Prometheus reads
    openapi.py    the description of the routes
    launch.py     how a program starts the endpoint as a process

BentoML runs it (`services/`); nothing here knows BentoML, MLflow or any task.
"""

from sightline.serving.launch import serve_command

__all__ = ["serve_command"]
