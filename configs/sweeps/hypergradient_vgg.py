"""The six methods of the hypergradient paper with its settings for VGG-16, a smaller beta of Adam-HD.

    ./run.sh sweep --config=configs/classifier/cifar10_vgg.py --sweep=configs/sweeps/hypergradient_vgg.py

18 runs. It needs an accelerator.
"""

from configs.sweeps import hypergradient


def get_sweep(h):
    return hypergradient.get_sweep(h, adam_beta=1e-8)
