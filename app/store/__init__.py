"""What the service must remember: a database behind SQLAlchemy. Made by the first thing to remember; until then it need not exist."""

from app.store.database import Database
from app.store.errors import NameTaken, StoreBusy, StoreUnusable
from app.store.events import Event, EventLog, insert_events
from app.store.experiments import ExperimentChange, ExperimentRecord, ExperimentRecords, State
from app.store.impressions import Impression, ImpressionLog, insert_impressions
from app.store.items import ItemChange, ItemChanges
from app.store.keys import ROLES, KeyRecord, Keys, Role
from app.store.releases import ReleaseRecord, insert_release, release_records
from app.store.writer import Writer

__all__ = [
    "ROLES",
    "Database",
    "Event",
    "EventLog",
    "ExperimentChange",
    "ExperimentRecord",
    "ExperimentRecords",
    "Impression",
    "ImpressionLog",
    "ItemChange",
    "ItemChanges",
    "KeyRecord",
    "Keys",
    "NameTaken",
    "ReleaseRecord",
    "Role",
    "State",
    "StoreBusy",
    "StoreUnusable",
    "Writer",
    "insert_events",
    "insert_impressions",
    "insert_release",
    "release_records",
]
