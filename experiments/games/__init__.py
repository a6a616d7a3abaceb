"""Small games that can be looked at: their updates, flows and spectra."""
