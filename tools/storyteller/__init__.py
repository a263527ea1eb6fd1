"""The bundled storyteller: corpus, tokenizer, training, conversion and evaluation of a very small model."""
