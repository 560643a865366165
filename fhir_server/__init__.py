"""FHIR R4 health record server: the record belongs to the patient, and every byte leaves by one road."""
