"""Demo data of the record server: invented, deterministic, UK-shaped. See README.md beside this file.

Comes in: the day it is loaded on and how many people. Goes out: a `Seed`. Must not know: the server.
"""

from seed_data.generation import generate
from seed_data.model import Account, AuthoredBundle, PastEmergency, Seed, SeedClient

__all__ = ["Account", "AuthoredBundle", "PastEmergency", "Seed", "SeedClient", "generate"]
