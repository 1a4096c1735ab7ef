"""The article "Why does the VAE work?", put to the test claim by claim."""
