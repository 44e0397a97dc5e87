"""What makes the weights that ship; a training of yours needs none of it."""
