"""Figures of "Toy Models of Superposition" (Elhage et al. 2022), made again and checked."""
