"""Makes models/sendtime: when customers in general open messages, the prior of ChooseSendTime.

    python scripts/models/sendtime.py [--out models/sendtime]

The readers are simulated (simulator.py). The rates are shares of opened messages in each hour of the week, smoothed
between neighbouring hours. How fast a customer's own history outweighs them (prior_strength), and how far an answer
speaks for other hours (bandwidth, other_days), is chosen by the likelihood of messages that were kept back: nothing of
the truth is used but to judge.
"""

import argparse
from pathlib import Path

import numpy as np

import simulator
from manifest import write

ROOT = Path(__file__).resolve().parents[2]
SEED, TRAINED, MESSAGES, KEPT_BACK, TESTED = 0, 6000, 40, 10, 4000
QUIET = (23, 0, 1, 2, 3, 4, 5, 6)
ALLOWED = np.flatnonzero(~np.isin(simulator.HOUR, QUIET))
STRENGTHS, BANDWIDTHS, OTHER_DAYS = (2, 5, 10, 20, 40), (0, 1, 2), (0.0, 0.25, 0.5, 0.75, 1.0)  # messages, hours, share


def kernel(bandwidth, other_days):
    """[168, 168]: how much a message in one hour speaks for another, as package choosing reckons."""
    def normal(hours):
        return np.exp(-(hours**2) / (2 * bandwidth**2)) if bandwidth else (hours == 0).astype(float)

    apart = np.arange(simulator.WEEK)
    of_day = apart % 24
    lags = np.maximum(normal(np.minimum(apart, simulator.WEEK - apart)), other_days * normal(np.minimum(of_day, 24 - of_day)))
    return np.stack([np.roll(lags, slot) for slot in range(simulator.WEEK)])


def history(rng, rates, each):
    """Sent and opened messages by hour of the week, [n, 168] each."""
    n = len(rates)
    slots = simulator.sending(rng, n, each)
    opened = rng.random(slots.shape) < np.take_along_axis(rates, slots, 1)
    flat = (np.arange(n)[:, None] * simulator.WEEK + slots).ravel()
    return (np.bincount(flat, minlength=n * simulator.WEEK).reshape(n, -1).astype(float),
            np.bincount(flat, opened.ravel(), minlength=n * simulator.WEEK).reshape(n, -1))


def posterior(prior, sent, opened, strength, spread):
    return (strength * prior + opened @ spread) / (strength + sent @ spread)


def likelihood(rates, sent, opened):
    """The mean log-likelihood of messages."""
    p = np.clip(rates, 1e-3, 1 - 1e-3)
    return float((opened * np.log(p) + (sent - opened) * np.log1p(-p)).sum() / sent.sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "models/sendtime", help="the bundle's directory")
    args = parser.parse_args()
    rng = np.random.default_rng(SEED)
    people = simulator.readers(rng, TRAINED).rates
    sent, opened = history(rng, people, MESSAGES - KEPT_BACK)
    later_sent, later_opened = history(rng, people, KEPT_BACK)
    near = kernel(1, 0)
    all_sent, all_opened = (sent + later_sent).sum(0), (opened + later_opened).sum(0)
    # Hours at which nothing was ever sent have the general rate of the quietest that is known.
    known = all_sent @ near > 0
    prior = np.divide(all_opened @ near, all_sent @ near, out=np.zeros(simulator.WEEK), where=known)
    prior[~known] = prior[known].min()
    prior = np.round(prior, 4)
    print(f"{TRAINED} customers with {MESSAGES} messages each, {all_opened.sum() / all_sent.sum():.1%} opened")

    chosen, best = None, -np.inf
    for bandwidth in BANDWIDTHS:
        for days in OTHER_DAYS:
            spread = kernel(bandwidth, days)
            for strength in STRENGTHS:
                fit = likelihood(posterior(prior, sent, opened, strength, spread), later_sent, later_opened)
                if fit > best:
                    chosen, best = (strength, bandwidth, days), fit
    strength, bandwidth, days = chosen
    print(f"kept-back log-likelihood {best:.4f} with prior_strength {strength}, bandwidth {bandwidth} h, other_days {days} "
          f"(the prior alone: {likelihood(np.broadcast_to(prior, sent.shape), later_sent, later_opened):.4f})")

    people = simulator.readers(rng, TESTED).rates
    rows = np.arange(TESTED)
    oracle = people[:, ALLOWED].max(1).mean()
    general = people[:, ALLOWED[prior[ALLOWED].argmax()]].mean()
    anywhen = people[:, ALLOWED].mean()
    print(f"\nopened where the policy would send, {TESTED} other customers, no message between 23 and 7\n"
          f"{'messages before':<17}{'random':>8}{'general':>9}{'own rates':>11}{'model':>8}{'oracle':>8}{'regret':>8}")
    metrics = {}
    spread = kernel(bandwidth, days)
    for each in (0, 5, 20, 60, 200):
        sent, opened = history(rng, people, each)
        own = np.where(sent > 0, opened / np.maximum(sent, 1), 0)[:, ALLOWED] + 1e-6 * rng.random((TESTED, len(ALLOWED)))
        told = posterior(prior, sent, opened, strength, spread)[:, ALLOWED]
        by_own, by_model = (people[rows, ALLOWED[x.argmax(1)]].mean() for x in (own, told))
        print(f"{each:<17}{anywhen:>8.3f}{general:>9.3f}{by_own:>11.3f}{by_model:>8.3f}{oracle:>8.3f}{oracle - by_model:>8.3f}")
        metrics[f"opened_after_{each}"] = by_model
        if by_model < max(general, by_own) - 0.003:
            raise SystemExit("not written: the general rates or the customer's own do better")
    metrics |= {"opened_random": anywhen, "opened_general": general, "opened_oracle": oracle}

    send_times = {"rates": [float(x) for x in prior], "prior_strength": strength}
    if bandwidth:
        send_times["bandwidth"] = f"{int(3600 * bandwidth)}s"
    if days:
        send_times["other_days"] = days
    args.out.mkdir(parents=True, exist_ok=True)
    write(args.out / "bundle.yaml", {
        "description": "When customers open messages, by the hour of the week in local time. Simulated customers.",
        "license": "Apache-2.0",
        "lineage": {"data": ["simulated by scripts/models/simulator.py"], "code": "scripts/models/sendtime.py",
                    "metrics": {name: round(float(value), 4) for name, value in metrics.items()}},
        "catalogue": {"send_times": send_times},
    }, "scripts/models/sendtime.py")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
