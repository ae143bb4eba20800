"""Who may log in: cred checkers, realm and avatars, password hashes."""
