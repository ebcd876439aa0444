"""One file per scheduler: the plugins that stop trials early."""
