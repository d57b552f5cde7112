"""Models in the Hub's format through transformers and torch: one module per modality."""
