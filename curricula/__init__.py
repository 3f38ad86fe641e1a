"""Turn findings into training data, losslessly, and prove that it helps."""
