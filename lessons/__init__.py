"""What the notebooks show and ask.

figures    pictures and tables
views      live views: a slider above a picture
exercises  the checks of the exercises, one module a notebook
quiz       the quiz over the whole series
measured   what was measured beforehand
"""
