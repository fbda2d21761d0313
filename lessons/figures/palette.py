"""One colour for each model in the whole series, and a second cue for eyes that mix colours up."""

WARM = "#D55E00"  # for what goes wrong; no model of the series has this colour

# Okabe-Ito colours; first and second are the reader's own models in 11, and config, the third specialist of 08, shares
# second's: no picture has both.
COLOURS = {
    "base": "#000000",
    "clippy": "#0072B2",
    "beer": "#E69F00",
    "merged": "#009E73",
    "first": "#56B4E9",
    "second": "#CC79A7",
    "config": "#CC79A7",
}

MARKERS = {"base": "o", "clippy": "s", "beer": "^", "merged": "D", "first": "s", "second": "^", "config": "v"}
HATCHES = {"base": "", "clippy": "//", "beer": "..", "merged": "xx"}
