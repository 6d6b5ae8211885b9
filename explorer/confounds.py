"""What moves a probe's accuracy beside knowledge: the scale of a layer, and single neurons that dominate it."""
import numpy as np

FAR = 6.0  # standard deviations of a layer's activations, beyond which a neuron's mean makes it an outlier


def outliers(mean: np.ndarray, deviation: np.ndarray, far: float = FAR) -> np.ndarray:
    """(neurons,) bool: whose mean over the words lies so far from the mean of all the layer's activations.

    mean and deviation (standard) are (neurons,), over the training words. The distance is told in standard deviations
    of all activations of the layer, outliers included: in a layer of n neurons none lies further than the root of n.
    """
    mean, deviation = mean.astype(np.float64), deviation.astype(np.float64)
    spread = np.sqrt(np.square(deviation).mean() + mean.var())
    return np.abs(mean - mean.mean()) > far * spread


def norm(mean: np.ndarray, deviation: np.ndarray) -> float:
    """Root mean square length of a word's activations, from the mean and standard deviation of each neuron."""
    return float(np.sqrt(np.square(mean, dtype=np.float64).sum() + np.square(deviation, dtype=np.float64).sum()))
