"""Bootstrap and Wilson intervals: against the normal approximation, each other, and the seed."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from course_lib import intervals

VALUES = torch.rand(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("values", [VALUES, VALUES.numpy(), VALUES.tolist()], ids=type)
def test_a_mean_has_the_interval_of_the_normal_approximation(values):
    mean, low, high = intervals.bootstrap_interval(values, n_boot=4000)
    half = 1.96 * float(VALUES.std(correction=0)) / len(VALUES) ** 0.5
    assert mean == pytest.approx(float(VALUES.mean()))
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.1 * half)


def test_the_seed_decides():
    same = [intervals.bootstrap_interval(VALUES, 50, seed) for seed in (1, 1, 2)]
    assert same[0] == same[1] != same[2]
    assert (intervals.bootstrap_counts(4, 9, 1) == intervals.bootstrap_counts(4, 9, 1)).all()


def test_cells_share_their_draws():
    means = intervals.bootstrap_means(torch.stack([VALUES, VALUES + 1.0, 3.0 * VALUES]), 200)
    torch.testing.assert_close(means[:, 1] - means[:, 0], torch.ones(200, dtype=torch.float64))
    torch.testing.assert_close(means[:, 2] / means[:, 0], torch.full((200,), 3.0).double())


def test_the_three_ways_of_drawing_agree():
    values = np.array([0, 0.5, 0.5, 1, 1, 1, 1, 1])
    plain = intervals.bootstrap_means(torch.tensor(values), 20_000).numpy()
    counted = intervals.bootstrap_counts(len(values), 20_000) @ values / len(values)
    levels = intervals.bootstrap_level_means(values, 20_000, np.random.default_rng(0))
    for other in (counted, levels):
        assert other.mean() == pytest.approx(plain.mean(), abs=0.005)
        assert other.std() == pytest.approx(plain.std(), abs=0.005)


def test_the_ends_of_arrays_and_tensors_are_the_same_points():
    drawn = np.random.default_rng(0).normal(size=(501, 2, 3))
    both = intervals.tensor_ends(torch.tensor(drawn))
    assert both.shape == (2, 3, 2)
    assert both[1, 2].tolist() == pytest.approx(list(intervals.ends(drawn[:, 1, 2])))
    assert intervals.ends(np.arange(1001)) == (25, 975)


def test_a_share_of_nothing_or_all_still_has_an_interval():
    assert intervals.wilson(0, 10) == pytest.approx((0, 0.278), abs=0.001)
    assert intervals.wilson(10, 10) == pytest.approx((0.722, 1), abs=0.001)


def test_arrays_need_no_torch():
    source = "import sys, numpy, course_lib.intervals as i; i.bootstrap_interval(numpy.ones(3))"
    source += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source]).returncode == 0
