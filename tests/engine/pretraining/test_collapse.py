from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cass_cli.engine.pretraining.collapse import ArmGauges, Gauge


def test_gauges_equal_their_definitions() -> None:
    embeddings = torch.randn(20, 7, dtype=torch.float64) + 0.5
    gauge = Gauge.of(embeddings)
    z = F.normalize(embeddings, dim=1)
    cosines = [float(z[i] @ z[j]) for i in range(20) for j in range(20) if i != j]
    assert gauge.cosine == pytest.approx(sum(cosines) / len(cosines))
    variance = z.var(dim=0, correction=0)
    assert gauge.spread == pytest.approx(float((variance.mean()).sqrt()) * 7**0.5)
    singular = torch.linalg.svdvals(z - z.mean(0))
    p = singular / singular.sum()
    assert gauge.rank == pytest.approx(float(torch.exp(-(p * p.log()).sum())))


def test_extremes() -> None:
    uniform = Gauge.of(torch.randn(2000, 16))
    assert uniform.spread == pytest.approx(1, abs=0.02)
    assert uniform.cosine == pytest.approx(0, abs=0.01)
    assert uniform.rank > 15
    constant = Gauge.of(torch.ones(30, 16))
    assert constant.spread == pytest.approx(0, abs=1e-6)
    assert constant.cosine == pytest.approx(1)
    assert constant.rank == 1
    line = Gauge.of(torch.outer(torch.linspace(-1, 1, 31), torch.ones(16))[torch.arange(31) != 15])
    assert line.rank == pytest.approx(1, abs=1e-3)  # two opposite points: one direction left


def test_scale_and_order_do_not_matter() -> None:
    embeddings = torch.randn(12, 5)
    shuffled = (embeddings * torch.rand(12, 1).add(0.5))[torch.randperm(12)]
    first, second = Gauge.of(embeddings), Gauge.of(shuffled)
    assert first.spread == pytest.approx(second.spread)
    assert first.cosine == pytest.approx(second.cosine)
    assert first.rank == pytest.approx(second.rank)


def test_states() -> None:
    def gauges(spread: float, cosine: float) -> ArmGauges:
        return ArmGauges(Gauge(spread, cosine, 5.0), Gauge(spread, cosine, 5.0))

    start = gauges(0.8, 0.3)
    assert gauges(0.7, 0.5).state(start) == "healthy"
    assert gauges(0.3, 0.9).state(start) == "shrinking"
    assert gauges(0.2, 0.96).state(start) == "collapsed"
    assert gauges(0.05, 0.997).state(start) == "collapsed"
    alike = gauges(0.25, 0.94)  # images that look alike begin near each other
    assert gauges(0.2, 0.96).state(alike) == "healthy"
    random_start = gauges(0.05, 0.997)
    assert gauges(0.07, 0.995).state(random_start) == "healthy"  # it moves apart
    assert gauges(0.05, 0.997).state(random_start) == "collapsed"


def test_features_alone_may_collapse() -> None:
    good, bad = Gauge(0.8, 0.3, 5.0), Gauge(0.02, 0.999, 5.0)
    assert ArmGauges(outputs=good, features=bad).state(ArmGauges(good, good)) == "collapsed"
