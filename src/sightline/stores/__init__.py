"""What must never be lost, in one database: the ledger.

    predictions   each answer given, written before it leaves
    events        what happened: promotions, runs, drift verdicts, labels taken in; append-only
    queue         areas to look at, which outlive the request that asked for them

Each takes a `Database`, opened by its URL: a sqlite file unless the settings name a server. Import these modules late:
SQLAlchemy takes a third of a second.
"""

from typing import Literal

Kind = Literal["run", "promotion", "rollback", "drift", "request", "intake", "restore"]
"""What an event tells of; `request` is a retraining that drift asked for, `restore` a backup that was brought back."""
