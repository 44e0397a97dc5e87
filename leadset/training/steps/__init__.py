"""What a step of a training is made of: its recordings, real and simulated, its batch, its loss, its learning rate."""
