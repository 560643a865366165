"""Who may do what: principal, scopes, consent, decision, emergency access. Knows no HTTP and no search language."""
