"""What goes wrong in dictionaries, each seen alone: absorption, hedging, shrinkage."""
