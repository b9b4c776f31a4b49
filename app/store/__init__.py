"""What the service must remember: a database behind SQLAlchemy. Made by the first thing to remember; until then it need not exist."""

from app.store.database import Database
from app.store.errors import StoreUnusable
from app.store.items import ItemChange, ItemChanges

__all__ = ["Database", "ItemChange", "ItemChanges", "StoreUnusable"]
