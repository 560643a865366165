"""What pages show: pure functions from FHIR JSON to frozen values. They know no request, no session and no template."""
