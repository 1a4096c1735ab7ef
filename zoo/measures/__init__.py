"""What is measured of a model, its draws, their weights, their gradients and its codes."""
