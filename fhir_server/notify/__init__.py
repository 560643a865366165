"""E-mail and text messages: what they say, the outbox they wait in, the transports that deliver them.

INVARIANT: no message carries health data or a hint of it; a subject says nothing about the record.
"""
