"""Experiments that settle whether what four papers found shows here; what would count as showing it is said before."""
