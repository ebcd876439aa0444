"""One file per executor: the plugins that run trials somewhere."""
