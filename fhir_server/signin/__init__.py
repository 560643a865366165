"""Pages around an account: sign in and out, registration by invitation, e-mail confirmation, a forgotten password."""
