"""The pictures of the documentation, drawn anew: `python -m tests.bench.pictures`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch

from tests.bench import toys
from training.objectives import adversarial

FOLDER = Path("docs/rankers")
_STYLE = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
_TRUE, _LEARNED, _OTHER = "0.75", "#1f5fa8", "#c8562f"


def gan_toy(path: Path) -> None:
    """A trained discriminator on the optimum, and the value of trained ones on −log 4 + 2 JSD while the model comes nearer."""
    figure, (left, right) = _figure(2)
    data_G, model_G = toys.two_hills(), toys.hill()
    best_G = torch.sigmoid(adversarial.optimal_logits(data_G.log(), model_G.log()))
    step = float(toys.GRID_G[1] - toys.GRID_G[0])
    left.fill_between(toys.GRID_G, data_G / step, color=_TRUE, label="data")
    left.plot(toys.GRID_G, model_G / step, color="0.4", linestyle=":", label="model")
    left.plot(toys.GRID_G, best_G, color=_OTHER, label="optimum p / (p + q)")
    learned_G = torch.sigmoid(toys.learn_discriminator(data_G, model_G, num_steps=1_500, seed=0))
    left.plot(toys.GRID_G, learned_G, color=_LEARNED, linestyle="--", label="trained discriminator")
    left.set(title="What the discriminator says", xlabel="x", ylim=(0, 1.3), xlim=(-3.5, 3.5))
    left.legend(ncol=2, loc="upper center")

    data_G = toys.hill(0.0, 0.8)
    shifts = torch.linspace(0.0, 2.5, 26).tolist()
    right.plot(
        shifts, [adversarial.optimal_value(data_G, toys.hill(s, 0.8)) for s in shifts], color=_OTHER, label="−log 4 + 2 JSD"
    )
    measured = shifts[::5]
    values = []
    for shift in measured:
        model_G = toys.hill(shift, 0.8)
        logits_G = toys.learn_discriminator(data_G, model_G, num_steps=800, seed=1)
        values.append(adversarial.value(logits_G, logits_G, data_G, model_G))
    right.plot(measured, values, "o", color=_LEARNED, markersize=4, label="trained discriminators")
    right.axhline(adversarial.VALUE_AT_EQUALITY, color="0.4", linestyle=":", label="log ¼")
    right.set(title="Value of the game", xlabel="distance of the model from the data", ylabel="nats")
    right.legend()
    _save(figure, path)


def two_modes(path: Path) -> None:
    """Posteriors of z given x = |z| + noise: true, by adversarial variational Bayes, and the best Gaussian."""
    posterior = toys.learn_posterior(num_steps=toys.NUM_STEPS, seed=0)
    xs = (1.0, 1.5, 2.0)
    figure, axes = _figure(len(xs))
    step = float(toys.GRID_G[1] - toys.GRID_G[0])
    for x, axis in zip(xs, axes, strict=True):
        axis.fill_between(toys.GRID_G, toys.true_posterior(x) / step, color=_TRUE, label="true posterior")
        axis.plot(toys.GRID_G, toys.drawn_posterior(posterior, x) / step, color=_LEARNED, label="AVB")
        axis.plot(toys.GRID_G, toys.best_gaussian(x) / step, color=_OTHER, linestyle="--", label="best Gaussian")
        axis.set(title=f"x = {x}", xlabel="z", xlim=(-3, 3))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncol=3)
    _save(figure, path)


def _figure(num_panels: int) -> tuple[Any, Any]:
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    return plt.subplots(1, num_panels, figsize=(7.5, 2.6), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=100, metadata={"Software": None})
    print(f"{path}: {path.stat().st_size // 1024} KiB")


def main() -> None:
    """Draw all, or those that are named."""
    drawers = {"gan-toy": gan_toy, "avb-two-modes": two_modes}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *drawers], help="which pictures; all of them without a name")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where they go")
    arguments = parser.parse_args()
    mpl.use("Agg")
    with mpl.rc_context(_STYLE):
        for name in arguments.names or drawers:
            drawers[name](arguments.folder / f"{name}.png")


if __name__ == "__main__":
    main()
