"""One file per controller: the plugins that propose configurations."""
