"""Language models with recurrent cells: networks, training, evaluators."""
