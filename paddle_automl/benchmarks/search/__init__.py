"""Search controllers and schedulers on tables and synthetic tasks."""
