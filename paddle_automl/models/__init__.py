"""Networks: backbones, head, and the factory that makes their layers."""
