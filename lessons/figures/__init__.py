"""The pictures of the notebooks: base and palette draw, the others hold the pictures of one topic."""
