"""Whether a candidate may be published: not worse than the live release by more than a margin, and within the guardrails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.jobs.retrain.config import Gate, Publish
from training.jobs.retrain.steps import Result

CHAMPION = "champion"


def decide(judged: Result, gate: Gate, publish: Publish) -> Result:
    """The decision, a function of figures alone.

    Args:
        judged: see `judge`.
        gate: the limits.
        publish: the policy for the champion.

    Returns:
        `chosen`: the candidate to publish, the best on the metric of those that passed, or None; `slots`: where to; `rankers`: name →
        what speaks against it; `why`: in one sentence.
    """
    against = {name: list(_objections(name, judged, gate)) for name in judged["candidates"]}
    passed = [name for name, objections in against.items() if not objections]
    chosen = max(passed, key=lambda name: _value(judged["candidates"][name], gate), default=None)
    slots = []
    if chosen is not None:
        slots = [publish.slot]
        if _may_lead(chosen, judged, publish) and CHAMPION not in slots:
            slots.append(CHAMPION)
    return {"chosen": chosen, "slots": slots, "rankers": against, "why": _why(chosen, against, judged, gate)}


def _may_lead(chosen: str, judged: Result, publish: Publish) -> bool:
    if publish.champion == "always":
        return True
    if publish.champion == "never":
        return False
    return judged["live"] is None or judged["comparisons"][chosen]["interval"][0] > 0.0


def _objections(name: str, judged: Result, gate: Gate) -> Iterator[str]:
    live, own = judged["live"], judged["candidates"][name]
    if live is None:
        return
    compared = judged["comparisons"][name]
    low, high = compared["interval"]
    if not low > -gate.margin:
        yield (
            f"{gate.metric} may be lower than that of the live release by more than the margin of {gate.margin:g}: the difference is "
            f"{compared['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"
        )
    mine, theirs = own["metrics"][gate.protocol], live["metrics"][gate.protocol]
    for metric, least in (("coverage@10", gate.least_coverage), ("novelty@10", gate.least_novelty)):
        if least is not None and mine[metric] < least * theirs[metric]:
            yield f"{metric} is {mine[metric]:.4f}, below {least:g} times the live release's {theirs[metric]:.4f}"
    more = own["popular"] - live["popular"]
    if gate.most_popular is not None and more > gate.most_popular:
        yield (
            f"{own['popular']:.1%} of the first ten are the most popular items, {more:+.1%} against the live release; expected at most "
            f"{gate.most_popular:+.1%}"
        )
    slow = own["latency_ms"]
    if gate.most_latency is not None and slow > max(gate.quick_enough_ms, gate.most_latency * live["latency_ms"]):
        yield f"an answer takes {slow:.2f} ms, more than {gate.most_latency:g} times the live release's {live['latency_ms']:.2f} ms"


def _value(figures: dict[str, Any], gate: Gate) -> float:
    value = figures["metrics"][gate.protocol][gate.metric]
    return float("-inf") if value is None else float(value)


def _why(chosen: str | None, against: dict[str, list[str]], judged: Result, gate: Gate) -> str:
    if chosen is None:
        return "nothing passed: " + "; ".join(f"{name}: {', '.join(objections)}" for name, objections in against.items())
    passed = sum(not objections for objections in against.values())
    best = f"{chosen} has {gate.metric} {_value(judged['candidates'][chosen], gate):.4f}"
    if len(against) > 1:
        best += f", the best of {passed} that passed" + (f" of {len(against)}" if passed < len(against) else "")
    if judged["live"] is None:
        return f"{best}; nothing is live that it could be compared with"
    compared = judged["comparisons"][chosen]
    low, high = compared["interval"]
    live = judged["live"]
    seen = {"no": "", "yes": ", which has seen the test part", "perhaps": ", which may have seen the test part"}[live["seen"]]
    if live["twin"] is not None:
        seen = ", trained anew on the same training part"
    return (
        f"{best}, {compared['difference']:+.4f} [{low:+.4f}, {high:+.4f}] against {live['release']}{seen}; the margin is "
        f"{gate.margin:g}"
    )
