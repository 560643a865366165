"""Administration and operation: `/api/v1` with its OpenAPI document, health, metrics, one log line per request.

Comes in: HTTP requests of the operator's programs, and every request's timing. Goes out: clients, accounts and the
state of the server as JSON, audited. It must not know what a record says: no search, no resource, no visibility.
"""
