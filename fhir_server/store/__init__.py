"""The only room that knows a column name: tables, resources, visibility, events, queue, migrations.

Comes in: values and a `Visibility`. Goes out: stored bytes and keys. Must not know: HTTP, SMART, who may see what.
"""
