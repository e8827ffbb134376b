"""Losses of toy models in closed form or by quadrature, for checks of trained ones."""
