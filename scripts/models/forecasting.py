"""What the demand models share: measures, their intervals, and training."""

import os

# One thread, so that a training repeats to the last byte.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
import optax

LEVELS = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95], np.float32)
MEDIAN = 3
DRAWS = 1000


def pinball(quantiles, truth):
    """The mean loss over LEVELS of quantiles [..., levels] for truth [...]."""
    error = truth[..., None] - quantiles
    return np.maximum(LEVELS * error, (LEVELS - 1) * error).mean(axis=-1)


def fan(centre, below, above, xp=jnp):
    """Quantiles that ascend by construction: the median [...], and the gaps below and above it, each positive. Not below 0."""
    low = centre[..., None] - xp.cumsum(below, -1)[..., ::-1]
    high = centre[..., None] + xp.cumsum(above, -1)
    return xp.maximum(xp.concatenate([low, centre[..., None], high], -1), 0)


def normal_fan(centre, deviation):
    """Quantiles of a normal distribution cut off at 0: centre and deviation [...]."""
    z = np.array([-1.6448536, -1.2815516, -0.6744898, 0, 0.6744898, 1.2815516, 1.6448536])
    return np.maximum(centre[..., None] + deviation[..., None] * z, 0)


class Score:
    """WAPE, mean pinball loss and coverage of forecasts, and what they could have been by chance.

    quantiles [units, ..., levels], truth [units, ...]. Units (products, days) are drawn with replacement, the same for all
    forecasts of one truth, so that differences are of pairs.
    """

    def __init__(self, quantiles, truth):
        axes = tuple(range(1, truth.ndim))
        self.error = np.abs(truth - quantiles[..., MEDIAN]).sum(axis=axes)
        self.total = truth.sum(axis=axes)
        self.loss = pinball(quantiles, truth).mean(axis=axes)
        inside = (truth >= quantiles[..., 1]) & (truth <= quantiles[..., 5])
        self.wape, self.pinball, self.coverage = self.error.sum() / self.total.sum(), self.loss.mean(), inside.mean()
        drawn = np.random.default_rng(0).integers(0, len(truth), (DRAWS, len(truth)))
        self.wapes = self.error[drawn].sum(axis=1) / self.total[drawn].sum(axis=1)
        self.pinballs = self.loss[drawn].mean(axis=1)


def interval(draws, digits):
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def print_table(scores):
    """scores: name to Score, the model first. 95 % intervals; of the others, of the difference to the model."""
    print(f"\n{'forecast':<34}{'WAPE':>7} {'95 %':<18}{'minus ours':<19}{'pinball':>8} {'95 %':<18}{'minus ours':<19}{'in 80 %':>8}")
    (_, ours), *_ = scores.items()
    for name, s in scores.items():
        wape, loss = ("", "") if s is ours else (interval(s.wapes - ours.wapes, 4), interval(s.pinballs - ours.pinballs, 3))
        print(f"{name:<34}{s.wape:>7.4f} {interval(s.wapes, 4):<18}{wape:<19}{s.pinball:>8.3f} {interval(s.pinballs, 3):<18}{loss:<19}"
              f"{s.coverage:>8.3f}", flush=True)


def require_better(scores, *baselines):
    """Stops unless the first of the scores is better than the baselines, by both measures, beyond chance."""
    (_, ours), *_ = scores.items()
    for name in baselines:
        other = scores[name]
        if min(np.quantile(other.wapes - ours.wapes, 0.025), np.quantile(other.pinballs - ours.pinballs, 0.025)) <= 0:
            raise SystemExit(f"not exported: not better than {name}")


def train(loss, params, arrays, *, epochs, rate, decay, batch, seed):
    """Minimises loss(params, *batches) by AdamW with a cosine schedule. arrays share their first axis."""
    count = len(arrays[0]) // batch
    optimiser = optax.adamw(optax.cosine_decay_schedule(rate, epochs * count), weight_decay=decay)
    state = optimiser.init(params)

    @jax.jit
    def epoch(params, state, *batches):
        def step(carry, one):
            params, state = carry
            updates, state = optimiser.update(jax.grad(loss)(params, *one), state, params)
            return (optax.apply_updates(params, updates), state), None
        return jax.lax.scan(step, (params, state), batches)[0]

    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(arrays[0]))[:count * batch]
        params, state = epoch(params, state, *(a[order].reshape(count, batch, *a.shape[1:]) for a in arrays))
    return jax.tree.map(np.asarray, params)
