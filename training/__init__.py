"""What made the models in models/: texts, training, measuring. Run from the repository: python -m training.train"""
