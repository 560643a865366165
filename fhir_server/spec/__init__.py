"""FHIR R4 facts as pure code: definitions, values, extraction, validation, outcomes. Knows no database and no HTTP."""
