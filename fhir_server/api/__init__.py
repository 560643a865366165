"""FHIR REST over HTTP: outside world ⇄ values. Takes no decision, knows no SQL; every request goes down `perform`."""
