"""What prediction costs beyond the network itself."""
