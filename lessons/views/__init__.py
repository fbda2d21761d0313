"""The live views of the notebooks: svg draws, live is what all views are, explorers and methods are the views."""
