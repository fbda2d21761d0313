"""The checks of the exercises: form is what all have in common, then one module for each notebook."""
