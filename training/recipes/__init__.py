"""One readable story per ranker: `Config` and `train(data, config, run)`. `training.registry` lists them."""
