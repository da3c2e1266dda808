"""Using trained weights: evaluation on data sets, and predictions for images."""
