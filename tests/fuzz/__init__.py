"""Foreign files, damaged at random: each is read, or refused by the package's own error."""
