"""The FHIR verbs as functions, and the one road (`perform`) that every one of them comes down. Knows no HTTP."""
