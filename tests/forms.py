"""Many documents of one form, one test a rule."""


def for_each(items):
    """A decorator: one test that asks of all items what the function asserts of one, and names the item that fails."""

    def over_all(test):
        def check():
            for item in items:
                try:
                    test(item)
                except Exception as error:
                    error.add_note(f"This was {item}.")
                    raise

        check.__name__, check.__doc__ = test.__name__, test.__doc__
        return check

    return over_all
