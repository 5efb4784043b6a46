"""Trains and exports models/demand_hourly: how many bicycles are rented in each of the next 24 hours.

    python scripts/models/demand_hourly.py --data DIR [--out models/demand_hourly]

DIR holds forecast/bike_hour.csv (UCI, Bike Sharing: Washington, 2011 and 2012).

A small network answers for each hour to come. It reads the rentals at that hour on the last seven days, the last three hours beside the
same hours of the days before, the last day's mean, all in parts of the last week's mean; and what is known ahead: hour, weekday, holiday,
weather. It opens a fan of quantiles around a median. The mean of three such networks is served. How wide the fan is, the last four weeks
say, held out from a first network: they ask for 0.9 to 1.0 of what training gives, so it is about right by itself. Graph:

    rentals    float32 [N, hours], oldest first; `hours` int64 [N]: how many of them are there
    hour, weekday, holiday, weather int64 [N, hours], temperature, humidity, wind float32 [N, hours]: ahead, the next hour first;
    `told` int64 [N]: how many of them are there
    quantiles  float32 [N, 24, 7], in the order of LEVELS

The inputs [N, hours] are as wide as the longest sequence. A history shorter than a week is completed by the days that there are. Hours
ahead that are not told have the last one's weather; missing numbers are the training hours' mean.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import MSTL, AutoETS

from forecasting import LEVELS, MEDIAN, Score, fan, normal_fan, print_table, require_better, train
from graphs import Graph, golden
from manifest import write

ROOT = Path(__file__).resolve().parents[2]
HORIZON, DAYS = 24, 7
WEEK = 24 * DAYS
PERIODS = ("2012-07-01", "2012-09-01", "2012-11-01", "2013-01-01")  # trained again at each but the last
CALIBRATION = 28 * 24  # hours that are held out to find how wide the fan must be
BETWEEN = 23  # hours between forecasts, so that every hour of the day comes first
HIDDEN, MEMBERS, EPOCHS = 48, 3, 6
SHARE = 0.3  # of the hours at which a training forecast begins; neighbours are nearly the same
TOLERANCE = 1e-4
WEATHER = ("clear", "mist", "rain")
NUMBERS = ("temperature", "humidity", "wind")
AHEAD = ("hour", "weekday", "holiday", "weather", *NUMBERS)
LAST = 3  # hours


def read(path):
    """Every hour of the two years, those without rentals too: a DataFrame by time."""
    table = pd.read_csv(path)
    table.index = pd.to_datetime(table["dteday"]) + pd.to_timedelta(table["hr"], unit="h")
    table = table.reindex(pd.date_range(table.index[0], table.index[-1], freq="h"))
    out = pd.DataFrame({"rentals": table["cnt"].fillna(0).astype(np.float32)}, table.index)
    out["hour"] = table.index.hour
    out["weekday"] = table.index.dayofweek  # 0 = Monday
    out["holiday"] = table["holiday"].groupby(table.index.date).transform("max").fillna(0).astype(int)
    out["weather"] = table["weathersit"].ffill().clip(1, len(WEATHER)).astype(int) - 1
    out["temperature"] = table["temp"].ffill() * 47 - 8  # the file holds it in parts of its range
    out["humidity"] = table["hum"].ffill() * 100
    out["wind"] = table["windspeed"].ffill() * 67
    return out


def around(table, origins):
    """The week before each origin [N, 168] and what is known ahead, each [N, 24]."""
    before = origins[:, None] + np.arange(-WEEK, 0)
    after = origins[:, None] + np.arange(HORIZON)
    return table["rentals"].to_numpy()[before], {name: table[name].to_numpy()[after] for name in AHEAD}


def truth_of(table, origins):
    return table["rentals"].to_numpy()[origins[:, None] + np.arange(HORIZON)]


def features(past, ahead):
    """What the network reads [N, 24, 54], and the scale of each row [N]."""
    scale = past.mean(axis=1) + 1
    days = past.reshape(-1, DAYS, 24) / scale[:, None, None]
    recent = np.concatenate([days[:, -1, -LAST:], days[:, :-1, -LAST:].mean(axis=1), days[:, -1].mean(axis=1, keepdims=True)], axis=1)
    step = np.arange(HORIZON) / HORIZON
    x = np.concatenate([
        days.transpose(0, 2, 1), np.broadcast_to(recent[:, None], (len(past), HORIZON, recent.shape[1])),
        np.broadcast_to(np.stack([step, np.exp(-12 * step), np.exp(-4 * step)], axis=1), (len(past), HORIZON, 3)),
        np.eye(24)[ahead["hour"]], np.eye(7)[ahead["weekday"]], ahead["holiday"][..., None], np.eye(len(WEATHER))[ahead["weather"]],
        np.stack([ahead[name] for name in NUMBERS], axis=-1)], axis=-1)
    return x.astype(np.float32), scale.astype(np.float32)


def member(params, x, width=1.0):
    """The quantiles [..., 7] of one network, in parts of the scale."""
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    out = x @ params[-1][0] + params[-1][1]
    centre = jnp.exp(jnp.clip(out[..., MEDIAN] - 0.5, -8, 3))
    gaps = jax.nn.softplus(out) * (0.3 * width * centre)[..., None]
    return fan(centre, gaps[..., :MEDIAN], gaps[..., MEDIAN + 1:])


def loss(params, x, truth):
    error = truth[..., None] - member(params, x)
    return jnp.maximum(LEVELS * error, (LEVELS - 1) * error).mean()


class Model:
    """The networks, trained on the hours before end."""

    def fit(self, table, end):
        self.train(table, end - CALIBRATION, members=1)
        held = np.arange(end - CALIBRATION, end - HORIZON + 1, 5)
        past, ahead = around(table, held)
        widths = np.arange(0.8, 3.01, 0.1)
        losses = []
        for self.width in widths:
            losses.append(Score(self.predict(past, ahead), truth_of(table, held)).pinball)
        self.width = float(widths[np.argmin(losses)])
        return self.train(table, end, MEMBERS)

    def train(self, table, end, members):
        self.members = []
        for seed in range(members):
            rng = np.random.default_rng(seed)
            origins = np.arange(WEEK, end - HORIZON + 1)
            origins = origins[rng.random(len(origins)) < SHARE]
            x, scale = features(*around(table, origins))
            truth = (truth_of(table, origins) / scale[:, None]).reshape(-1)
            x = x.reshape(-1, x.shape[-1])
            if seed == 0:
                self.mean, self.deviation = x.mean(axis=0), x.std(axis=0) + 1e-3
            keys = jax.random.split(jax.random.PRNGKey(seed), 3)
            sizes = (x.shape[1], HIDDEN, HIDDEN, len(LEVELS))
            start = [(jax.random.normal(key, shape) * np.sqrt(2 / shape[0]), jnp.zeros(shape[1])) for key, shape in zip(keys, zip(sizes, sizes[1:]))]
            start[-1] = (start[-1][0] * 0.05, start[-1][1])
            self.members.append(train(loss, start, ((x - self.mean) / self.deviation, truth), epochs=EPOCHS, rate=3e-3, decay=0.1, batch=1024, seed=seed))
        return self

    def predict(self, past, ahead):
        x, scale = features(past, ahead)
        x = (x - self.mean) / self.deviation
        return np.mean([member(params, x, self.width) for params in self.members], axis=0) * scale[:, None, None]


def seasonal_naive(table, origin, season):
    """The last season again; the deviation is that of such forecasts in the eight weeks before."""
    rentals = table["rentals"].to_numpy()
    past = rentals[origin - 8 * WEEK:origin]
    deviation = np.sqrt(np.mean((past[season:] - past[:-season]) ** 2))
    return normal_fan(rentals[origin - season:][np.arange(HORIZON)], np.full(HORIZON, deviation))


def ets(table, origins):
    """Exponential smoothing with a season of a day, and MSTL: seasons of day and week taken off, the rest by exponential
    smoothing. Both see eight weeks; the intervals are their own."""
    rentals = table["rentals"].to_numpy(float)
    length = 8 * WEEK
    frame = pd.DataFrame({"unique_id": np.repeat(origins, length), "ds": np.tile(np.arange(length), len(origins)),
                          "y": np.concatenate([rentals[origin - length:origin] for origin in origins])})
    models = [AutoETS(season_length=24, model="AZA"), MSTL([24, WEEK], trend_forecaster=AutoETS(model="AZN"))]
    out = StatsForecast(models, freq=1).forecast(df=frame, h=HORIZON, level=[50, 80, 90])
    result = []
    for name in ("AutoETS", "MSTL"):
        columns = [out[f"{name}-{end}".removesuffix("-")].to_numpy() for end in ("lo-90", "lo-80", "lo-50", "", "hi-50", "hi-80", "hi-90")]
        result.append(np.maximum(np.stack(columns, axis=1).reshape(len(origins), HORIZON, len(LEVELS)), 0))
    return result


def export(model):
    """The ONNX graph of the model."""
    g = Graph()
    # The last week, at the right end. What lies before the first hour is taken whole days later.
    hours = g("Unsqueeze", "hours", [1])
    at = g("Add", hours, np.arange(-WEEK, 0)[None])
    days_short = g("Div", g("Add", g("Max", g("Neg", at), 0), 23), 24)
    at = g("Max", g("Min", g("Add", at, g("Mul", days_short, 24)), g("Sub", hours, 1)), 0)
    past = g("GatherElements", "rentals", at, axis=1)
    scale = g("Add", g("ReduceMean", past, [1]), 1.0)
    days = g("Reshape", g("Div", past, scale), [-1, DAYS, 24])
    last = g.slice(days, 24 - LAST, 24, 2)
    recent = g("Concat", g("Squeeze", g.slice(last, DAYS - 1, DAYS), [1]), g("ReduceMean", g.slice(last, 0, DAYS - 1), [1], keepdims=0),
               g("ReduceMean", g.slice(days, DAYS - 1, DAYS), [2], keepdims=0), axis=1)

    # What is ahead: of the last hour told where there are fewer than 24, with the clock going on.
    step = np.arange(HORIZON)[None]
    known = g("Max", g("Min", g("Sub", g("Unsqueeze", "told", [1]), 1), step), 0)
    on = g("Sub", step, known)
    ahead = {name: g("GatherElements", name, known, axis=1) for name in AHEAD}
    clock = g("Add", ahead["hour"], on)
    hour = g("Mod", clock, 24)
    weekday = g("Mod", g("Add", ahead["weekday"], g("Div", clock, 24)), 7)

    def one_hot(index, depth):
        return g("OneHot", index, [depth], np.array([0.0, 1.0]), axis=-1)
    first = g("Unsqueeze", g("Mul", scale, 0.0), [2])  # [N, 1, 1] of zeros, to make rows of what is the same for all

    x = g("Concat", g("Transpose", days, perm=[0, 2, 1]), g("Add", g("Unsqueeze", recent, [1]), np.zeros((1, HORIZON, 1))),
          g("Add", first, np.stack([step[0] / HORIZON, np.exp(-12 * step[0] / HORIZON), np.exp(-4 * step[0] / HORIZON)], axis=1)[None]),
          one_hot(hour, 24), one_hot(weekday, 7), g("Unsqueeze", g("Cast", ahead["holiday"], to=1), [2]), one_hot(ahead["weather"], len(WEATHER)),
          *(g("Unsqueeze", ahead[name], [2]) for name in NUMBERS), axis=2)
    x = g("Div", g("Sub", x, model.mean), model.deviation)
    x = g("Where", g("IsNaN", x), 0.0, x)

    fans = []
    for params in model.members:
        y = x
        for w, b in params[:-1]:
            y = g("Relu", g("Add", g("MatMul", y, w), b))
        out = g("Add", g("MatMul", y, params[-1][0]), params[-1][1])
        centre = g("Exp", g("Clip", g("Sub", g.slice(out, MEDIAN, MEDIAN + 1, 2), 0.5), np.float32(-8), np.float32(3)))
        gaps = g("Mul", g("Softplus", out), g("Mul", centre, 0.3 * model.width))
        fans.append(g.fan(centre, g.slice(gaps, 0, MEDIAN, 2), g.slice(gaps, MEDIAN + 1, len(LEVELS), 2)))
    g("Mul", g("Mean", *fans), g("Unsqueeze", scale, [2]), name="quantiles")
    inputs = {"rentals": ("float", ["N", "W"]), "hours": ("int64", ["N"])}
    inputs |= {name: ("float" if name in NUMBERS else "int64", ["N", "W"]) for name in AHEAD} | {"told": ("int64", ["N"])}
    return g.model("demand_hourly", inputs, {"quantiles": ("float", ["N", HORIZON, len(LEVELS)])})


def run(session, past, ahead):
    """The graph's answers to rows of one length each: past [N, hours], ahead [N, hours told]."""
    told = ahead["hour"].shape[1]
    width = max(past.shape[1], told)

    def wide(values, dtype):
        out = np.zeros((len(past), width), dtype)
        out[:, :values.shape[1]] = values
        return out
    feeds = {"rentals": wide(past, np.float32), "hours": np.full(len(past), past.shape[1]), "told": np.full(len(past), told)}
    feeds |= {name: wide(values, np.float32 if name in NUMBERS else np.int64) for name, values in ahead.items()}
    return session.run(["quantiles"], feeds)[0]


def manifest(table, metrics):
    """The content of bundle.yaml."""
    def number(name, text):
        return {"name": name, "type": "FEATURE_TYPE_FLOAT", "min": round(float(table[name].min()), 2), "max": round(float(table[name].max()), 2), "description": text}

    def whole(name, top, text):
        return {"name": name, "type": "FEATURE_TYPE_INT", "required": True, "min": 0.0, "max": float(top), "description": text}
    ports = {name: {"batch_axis": 0, "sequence_axis": 1, "pad_value": 0} for name in ("rentals", *AHEAD)}
    return {
        "description": "Bicycles rented in each of the next 24 hours, with quantiles, from the week before and the weather ahead.",
        "license": "Apache-2.0",
        "graphs": {"model": {"file": "model.onnx", "execution": {"devices": ["cpu"], "threads": 1}, "inputs": ports}},
        "heads": {"demand": {"source": "model.quantiles", "forecast": {
            "unit": "rentals", "horizon": HORIZON, "quantiles": [round(float(level), 2) for level in LEVELS], "step": "3600s"}}},
        "row": {"features": [
            {"name": "history", "type": "FEATURE_TYPE_SEQUENCE", "required": True, "max_events": WEEK, "length_input": "hours",
             "description": "hours, oldest first, none left out; a week, and a day at least",
             "fields": [{"name": "rentals", "type": "FEATURE_TYPE_FLOAT", "required": True, "min": 0.0, "max": float(table["rentals"].max()),
                         "description": "in the hour"}]},
            {"name": "ahead", "type": "FEATURE_TYPE_SEQUENCE", "ahead": True, "required": True, "max_events": HORIZON, "length_input": "told",
             "description": "the hours to come, the first follows the history",
             "fields": [
                 whole("hour", 23, "of the day, local time"), whole("weekday", 6, "0 = Monday"),
                 {"name": "holiday", "type": "FEATURE_TYPE_BOOL", "default": False},
                 {"name": "weather", "type": "FEATURE_TYPE_STRING", "default": WEATHER[0], "categories": list(WEATHER), "index": {"first": 0, "unknown": 0},
                  "description": "rain: of any kind, snow, thunderstorm"},
                 number("temperature", "°C"), number("humidity", "per cent"), number("wind", "km/h")]}]},
        "goldens": {"file": "goldens.jsonl", "tolerances": [
            {"precision": "PRECISION_FP32", "absolute": TOLERANCE, "relative": TOLERANCE}]},
        "lineage": {"data": ["Bike Sharing, UCI Machine Learning Repository, CC BY 4.0"],
                    "code": "scripts/models/demand_hourly.py", "metrics": metrics},
    }


def goldens(session):
    """Hours made up for this project: a clear week, a rainy holiday, two days of history and six hours ahead."""
    lines = []
    for hours, told, start, weather, holiday, level in ((WEEK, 24, 8, "clear", False, 200), (WEEK, 24, 0, "rain", True, 90), (48, 6, 17, "mist", False, 25)):
        clock = start - hours + np.arange(hours)
        past = np.round(level * (1 + np.sin((clock - 9) * np.pi / 12)) + 3 * (clock % 5))
        events = [{"hour": (start + k) % 24, "weekday": (4 + (start + k) // 24) % 7, "holiday": holiday, "weather": weather,
                   "temperature": round(15 + 6 * float(np.sin((start + k - 10) * np.pi / 12)), 1), "humidity": 60 + k, "wind": 9.5} for k in range(told)]
        if hours < WEEK:
            del events[2]["humidity"]
        ahead = {name: np.array([[event.get(name, np.nan) for event in events]]) for name in AHEAD if name != "weather"}
        ahead["weather"] = np.full((1, told), WEATHER.index(weather))
        row = {"history": [{"rentals": n} for n in past.tolist()], "ahead": events}
        lines.append(json.dumps(golden(row, "model.quantiles", run(session, past[None], ahead))) + "\n")
    return "".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds forecast/bike_hour.csv")
    parser.add_argument("--out", type=Path, default=ROOT / "models/demand_hourly", help="the bundle's directory")
    args = parser.parse_args()
    table = read(args.data / "forecast/bike_hour.csv")
    starts = [min(int(table.index.searchsorted(pd.Timestamp(day))), len(table)) for day in PERIODS]
    blocks = [np.arange(start, end - HORIZON + 1, BETWEEN) for start, end in zip(starts, starts[1:])]
    origins = np.concatenate(blocks)
    print(f"{len(table)} hours; {len(origins)} forecasts of {HORIZON} hours, {BETWEEN} hours apart, from {PERIODS[0]} on; trained again at "
          f"{', '.join(PERIODS[:-1])} on the hours before; the weather ahead is what came", flush=True)

    models = [Model().fit(table, start) for start in starts[:-1]]
    print("of the width that training gives: " + ", ".join(f"{model.width:.1f}" for model in models))
    truth = truth_of(table, origins)
    quantiles = {"demand_hourly": np.concatenate([model.predict(*around(table, block)) for model, block in zip(models, blocks)])}
    for name, season in (("seasonal naive (week)", WEEK), ("seasonal naive (day)", 24)):
        quantiles[name] = np.stack([seasonal_naive(table, origin, season) for origin in origins])
    quantiles["ETS (day)"], quantiles["MSTL (day, week) and ETS"] = ets(table, origins)
    scores = {name: Score(q, truth) for name, q in quantiles.items()}
    print_table(scores)

    known = around(table, origins)[1]
    slices = {"working hours, Mon-Fri": (known["weekday"] < 5) & (known["hour"] >= 7) & (known["hour"] < 20),
              "nights": (known["hour"] < 6), "weekends": known["weekday"] >= 5, "holidays": known["holiday"] == 1}
    slices |= {f"weather {name}": known["weather"] == k for k, name in enumerate(WEATHER)}
    slices |= {f"hours {k + 1} to {k + 6} ahead": np.broadcast_to((np.arange(HORIZON) // 6) * 6 == k, truth.shape) for k in range(0, HORIZON, 6)}
    slices |= {f"from {day}": np.broadcast_to(np.isin(origins, block)[:, None], truth.shape) for day, block in zip(PERIODS, blocks)}
    print(f"\n{'slice':<26}{'hours':>7}{'mean':>7}{'in 80 %':>9}" + "".join(f"{name:>28}" for name in quantiles) + "   (WAPE, pinball)")
    for name, cells in slices.items():
        parts = [Score(q[cells], truth[cells]) for q in quantiles.values()]
        print(f"{name:<26}{cells.sum():>7}{truth[cells].mean():>7.0f}{parts[0].coverage:>9.3f}" + "".join(f"{f'{s.wape:.3f}, {s.pinball:.2f}':>28}" for s in parts))
    require_better(scores, "seasonal naive (week)", "seasonal naive (day)", "ETS (day)", "MSTL (day, week) and ETS")

    # The shortened and the untold are made by the graph, so it is the graph that is asked, one for each period.
    sessions = [onnxruntime.InferenceSession(export(model)) for model in models]

    def by_graph(hours, told):
        parts = [around(table, block) for block in blocks]
        return np.concatenate([run(session, past[:, -hours:], {k: v[:, :told] for k, v in ahead.items()}) for session, (past, ahead) in zip(sessions, parts)])
    difference = np.abs(by_graph(WEEK, HORIZON) - quantiles["demand_hourly"]).max() / truth.max()
    print(f"\nthe graph is within {difference:.1e} of the model, in parts of the largest hour")
    if difference > TOLERANCE:
        raise SystemExit("not exported: the graph does not compute the model")
    for hours, told in ((48, HORIZON), (24, HORIZON), (WEEK, 1)):
        s = Score(by_graph(hours, told), truth)
        print(f"with {hours} hours of history and {told} told ahead: WAPE {s.wape:.4f}, pinball {s.pinball:.3f}, in 80 % {s.coverage:.3f}")

    graph = export(Model().fit(table, len(table)))
    session = onnxruntime.InferenceSession(graph)
    short = {"": "demand_hourly", "_seasonal_naive": "seasonal naive (week)", "_mstl": "MSTL (day, week) and ETS"}
    metrics = {f"wape{end}": scores[name].wape for end, name in short.items()} | {f"pinball{end}": scores[name].pinball for end, name in short.items()}
    content = manifest(table, {name: round(float(value), 4) for name, value in metrics.items()})

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "model.onnx").write_bytes(graph)
    (args.out / "goldens.jsonl").write_text(goldens(session), encoding="utf-8")
    write(args.out / "bundle.yaml", content, "scripts/models/demand_hourly.py")
    print(f"wrote {args.out}: {len(graph)} bytes of graph")


if __name__ == "__main__":
    main()
