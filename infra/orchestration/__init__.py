"""One plan over images, Terraform and machines: looked at together, carried out as one graph."""
