"""What comes from what: a row's way back to its document, and a document's way out of all."""
