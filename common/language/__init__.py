"""Language models with recurrent cells: settings, networks, training, evaluators."""
