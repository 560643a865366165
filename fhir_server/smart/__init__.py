"""OAuth 2 authorization server of SMART App Launch 2.2: apps and backend services come in here; a module per RFC.

Comes in: OAuth requests. Goes out: codes, tokens, pages that ask the person. Must not know: who may see what (that is
`access`, on every request), nor SQL. Authlib and joserfc stay behind this wall.
"""
