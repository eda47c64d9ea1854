"""Where users and passwords are looked up: shared by the services auth and auth-worker."""
