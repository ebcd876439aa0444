"""Networks: backbones, head, and the one place where their layers are made."""
