"""One file per executor: the plugins that run jobs."""
