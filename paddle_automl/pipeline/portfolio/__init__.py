"""First trials by kind of data, learned from earlier searches and shipped as data."""
