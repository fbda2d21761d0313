"""Pictures written as SVG."""

from merging.svg import token_bars


def test_tokens_in_the_picture_stay_text():
    parts = token_bars(0, 0, 200, [("<script>", 0.5, [("clippy", 0.1)])])
    assert "<script>" not in "".join(parts) and "&lt;script&gt;" in "".join(parts)
