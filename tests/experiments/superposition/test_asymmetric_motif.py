import numpy as np

from experiments.superposition import asymmetric_motif as experiment


def planted_motif():
    """Neuron 0 shares features 0 and 1; neuron 1, driven by feature 0, mends it."""
    W_in = np.array([[2.0, 1.0, 0.0], [-0.5, 0.0, 1.0]])
    W_out = np.array([[0.5, 2.0], [0.1, -4.0], [0.0, 1.0]])
    return W_in, W_out


def test_the_published_weights_are_a_motif():
    assert experiment.find_motifs(*planted_motif()) == [experiment.Motif(0, 0, 1, 1)]


def test_it_does_not_depend_on_gains_and_the_sign_of_the_strong_feature():
    W_in, W_out = planted_motif()
    gain = np.array([3.0, 0.2, 7.0])
    assert len(experiment.find_motifs(W_in * gain, W_out / gain[:, None])) == 1
    flipped = W_in * np.array([-1.0, 1.0])[:, None]
    assert len(experiment.find_motifs(flipped, W_out)) == 1


def test_every_condition_is_needed():
    W_in, W_out = planted_motif()

    def count(change_in=None, change_out=None):
        A, B = W_in.copy(), W_out.copy()
        if change_in:
            A[change_in[0]] = change_in[1]
        if change_out:
            B[change_out[0]] = change_out[1]
        return len(experiment.find_motifs(A, B))

    assert count(change_in=((1, 0), -1.5)) == 0
    assert count(change_out=((0, 0), 1.5)) == 0
    assert count(change_out=((1, 1), 0.0)) == 0
    assert count(change_in=((0, 1), -1.0)) == 0


def test_an_exact_network_has_none():
    sign = np.concatenate([np.eye(3), -np.eye(3)], axis=1)
    assert experiment.find_motifs(sign, np.abs(sign).T) == []


def test_checks_fail_without_motifs_and_with_a_crowded_control():
    settings = experiment.Settings()

    def passed(share, ratio, control):
        metrics = {
            "share_with_motif": [share],
            "best_over_baseline": [ratio],
            "control_share_with_motif": control,
        }
        return [check.passed for check in experiment.make_checks(metrics, settings)]

    assert passed(0.3, 0.98, 0.0) == [True, True, True]
    assert passed(0.0, 1.0, 0.5) == [False, False, False]
    # A control with as many is no control.
    assert passed(0.04, 0.98, 0.05) == [False, True, True]
