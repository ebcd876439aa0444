"""One file per data set form."""
