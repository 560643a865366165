"""Sign in with NHS CIS2: invited professionals, in a role that their organisation holds for them here (nhs.md §3)."""

from __future__ import annotations

NAME = "cis2"
CALLBACK = "/cis2/callback"
SCOPE = "openid profile nhsperson nationalrbacaccess associatedorgs selectedrole"
ALGORITHMS = ("RS256", "RS512")
