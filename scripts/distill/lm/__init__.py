"""A small language model of our own: tokenizer, model, training, sampling."""
