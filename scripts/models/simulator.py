"""Customers that do not exist, whose answers to every treatment are known.

No licensed data here tells what would have become of a customer under another offer, price, number of messages or hour.
This simulator does: the models `offers` and `sendtime` are trained on what it lets an experimenter see, and judged by
what it knows. All of it is seeded, and none of it was fitted to real customers: it shows that the parts work, not what an
offer is worth.
"""

from dataclasses import dataclass

import numpy as np

# What may be done, the first of each being nothing. Costs are in EUR for one customer.
OFFERS = {"none": 0.0, "call": 6.0, "discount_10": 8.0, "discount_20": 16.0}
MESSAGES = {"messages_0": 0.0, "messages_1": 0.1, "messages_2": 0.2, "messages_4": 0.4}
KEPT = 120.0  # EUR that a kept customer is worth
ORDER = 12.0  # EUR that an order is worth

FEATURES = ("tenure", "contract", "monthly_charge", "complaints", "days_since_order", "discount_share", "opened_share", "messages_30d")
CONTRACTS = ("monthly", "yearly")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def customers(rng, n):
    """Features by name, arrays of n."""
    tenure = np.minimum(rng.gamma(1.5, 16, n).astype(int), 72)
    yearly = rng.random(n) < sigmoid((tenure - 20) / 15)
    return {
        "tenure": tenure,
        "contract": np.where(yearly, "yearly", "monthly"),
        "monthly_charge": np.round(rng.uniform(15, 110, n), 2),
        "complaints": rng.poisson(0.6, n),
        "days_since_order": np.minimum(rng.exponential(25, n).astype(int), 180),
        "discount_share": np.round(rng.beta(1.2, 2.5, n), 3),
        "opened_share": np.round(rng.beta(2, 5, n), 3),
        "messages_30d": rng.poisson(4, n),
    }


def leaving(c):
    """The probability of leaving within 90 days under each offer, [n, len(OFFERS)]."""
    monthly = c["contract"] == "monthly"
    dear = (c["monthly_charge"] - 60) / 30
    base = (-1.6 + 1.1 * monthly - 0.9 * np.tanh(c["tenure"] / 24) + 0.35 * np.minimum(c["complaints"], 4) + 0.4 * dear
            + 0.5 * np.tanh(c["days_since_order"] / 45))
    # A call mends a complaint. Who is bound and content is reminded by it that one could leave.
    call = np.where(c["complaints"] > 0, -0.35 - 0.3 * np.minimum(c["complaints"], 4), np.where(monthly, -0.1, 0.45))
    # A price matters to whom it matters; the second tenth less than the first.
    thrift = 1.8 * c["discount_share"] + 0.25 * np.maximum(dear, 0)
    return sigmoid(base[:, None] + np.column_stack([np.zeros(len(base)), call, -0.15 - 0.7 * thrift, -0.2 - 1.15 * thrift]))


def ordering(c):
    """The probability of an order within 30 days under each number of messages a week, [n, len(MESSAGES)]."""
    base = -1.1 - 1.0 * np.tanh(c["days_since_order"] / 40) + 0.3 * np.tanh(c["tenure"] / 24)
    count = np.array([0, 1, 2, 4])
    # Messages work on who opens them, with diminishing returns, and tire who gets many already.
    gain = 2.4 * c["opened_share"][:, None] * np.log1p(count)
    tire = (0.08 + 0.035 * np.maximum(c["messages_30d"] - 3, 0))[:, None] * count
    return sigmoid(base[:, None] + gain - tire)


def observe(rng, probabilities):
    """A randomised experiment: which column each row was given, and whether the event happened."""
    n, arms = probabilities.shape
    given = rng.integers(arms, size=n)
    return given, rng.random(n) < probabilities[np.arange(n), given]


# Send times. The hours of the week are those of the customer's own clock, Monday 0 o'clock first.
WEEK = 168
HOUR = np.arange(WEEK) % 24
WEEKEND = np.arange(WEEK) >= 120


def _bump(hours, width):
    """How attentive somebody is around some hours of the day, [168]."""
    away = np.min([np.minimum((HOUR - h) % 24, (h - HOUR) % 24) for h in hours], axis=0)
    return np.exp(-(away**2) / (2 * width**2))


HABITS = np.stack([
    np.where(WEEKEND, 0.5, 1.0) * _bump((8, 18), 1.2),  # on the way to work and back
    np.where(WEEKEND, 0.4, 1.0) * _bump((12,), 1.5),  # at lunch
    _bump((21,), 1.8),  # in the evening
    np.where(WEEKEND, 1.0, 0.25) * _bump((11,), 2.5),  # at weekends
    _bump((23.5,), 1.5),  # at night
])
SHARES = np.array([0.35, 0.2, 0.25, 0.12, 0.08])


@dataclass
class Readers:
    """Customers with the probability that each opens a message in each hour of the week, [n, 168]."""

    rates: np.ndarray


def readers(rng, n):
    """Each has a habit of his or her own: mostly one of five, shifted by an hour or two, at a level of his or her own."""
    mix = rng.dirichlet(0.6 * len(SHARES) * SHARES, n)
    level = rng.beta(2, 6, n)
    habits = mix @ HABITS
    shifts = rng.integers(-2, 3, n)
    habits = np.stack([np.roll(h, s) for h, s in zip(habits, shifts)])
    return Readers(np.clip(level[:, None] * (0.25 + 2.2 * habits), 0, 0.95))


def sending(rng, n, each):
    """The hours at which a company has sent so far, [n, each]: by day, at no particular hour."""
    allowed = np.flatnonzero((HOUR >= 7) & (HOUR <= 22))
    return rng.choice(allowed, size=(n, each))
