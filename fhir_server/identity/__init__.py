"""People and their proofs: accounts, sign-in, invitations, recovery. Takes values, gives values; knows no HTTP.

Functions that hash or compare secrets take the `Store` and keep that slow work outside transactions; others take a
`Session`.
"""
