"""`infra doctor`: checks of this machine and of the account."""
