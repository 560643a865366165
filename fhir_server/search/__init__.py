"""The FHIR search language as SQL, always under a Visibility; one file per stored index shape."""
