"""The endpoint of a task: one ASGI application, the same for every task; and one address for several of them.

    guard.py        what stands before every route; pure ASGI, before anything is parsed
      access.py     who may come in: hosts, origins, tokens; requests and websockets
      bodies.py     how much a body may weigh, and how long it may take
    app.py          the application, from its routers
    front_door.py   several tasks behind one address: hands requests on to each task's application
      overview.py   the routes that tell of all of them; overview_answers.py
      merging.py    one OpenAPI document of theirs
    prefixes.py     what stands in front of the routes of a task for its clients
    routing.py      what a route is: declared once, with its types and its rule (rules.py), failing in one form
    predicting.py   the routes that answer an image; uploads.py takes it out of a request
    about.py        the routes that tell of the model, and the pages
    areas.py        the routes of areas on the map, where the model looks at such; area_jobs.py, orders.py behind them
    streams.py      the routes of cameras whose frames come one by one; cameras.py, camera.py, stream_answers.py behind
    answers.py      what is answered, as types; area_answers.py
    description.py  OpenAPI, from the routes and of the model that answers; docs_page.py shows it to people
    engine.py       bytes -> decoded input -> batch -> prediction -> ledger -> answer
    lanes.py        which lanes an input goes to, and whether it can be answered in time; admission.py: who waits
    capacity.py     the threads and the room that all endpoints of a process share
    calls.py        the calls of the model, in threads; questions.py: what goes through them
    batching.py     the micro-batcher and the measuring of the best batch
    champion.py     which model answers, and how a new one takes over without a request being dropped
    surveyor.py     the thread that looks at the areas that are queued
    map_tiles.py    the tiles of the page's map
    metrics.py      what Prometheus reads
    connections.py  what a connection may take before there is a request
    launch.py       how a program starts the endpoint as a process

BentoML runs it (`services/`); nothing here knows BentoML, MLflow or any task.
"""

from sightline.serving.launch import ALL_TASKS, serve_command

__all__ = ["ALL_TASKS", "serve_command"]
