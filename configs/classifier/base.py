"""Base of all classifier configs: what each field of the `classifier` section means."""

from ml_collections import ConfigDict

from configs import common
from configs.play import averages


def base() -> ConfigDict:
    """Returns a small convolutional net with Adam; images in [-1, 1], nothing augmented or regularised."""
    config = common.base()
    config.experiment = "classifier"
    config.classifier = classifier = ConfigDict()
    # lib/nets. Options that kwargs do not name have these values:
    # logistic: none.
    # mlp: hidden (1000, 1000), widths of the hidden layers; activation "relu", or "tanh", which has
    #   all derivatives.
    # cnn: channels (32, 64) of the 3x3 convolutions, each followed by 2x2 max pooling; hidden 128, the
    #   width of the dense layer, whose activations are the evaluator's features; dropout 0.25.
    # vgg16 (from 32x32): hidden (512, 512), widths of the dense layers before the logits; dropout 0.5
    #   before each of them; batch_norm True.
    # wide_resnet: depth 40, which is 6 n + 4; width 4; dropout 0.0, inside the blocks.
    # sentence_pairs (of snli): hidden 2048, units of the LSTM in each direction; dense (512, 512), widths
    #   of the linear layers; embedding 300, length of the word vectors that it learns where the data have
    #   none.
    # densenet: depth 40, which is 6 n + 4 with bottlenecks (DenseNet-BC) and 3 n + 4 without; growth 40;
    #   bottleneck True.
    # resnet18: stem "small", a 3x3 convolution, or "imagenet" (from 32x32), a 7x7 convolution and max
    #   pooling, both with stride 2.
    classifier.model = common.named("cnn")

    # What the network sees, in training and after: signed ([-1, 1]), unit ([0, 1]), standard (mean 0 and
    # standard deviation 1 of each channel over the training images; the numbers are kept in checkpoints).
    classifier.normalization = "signed"
    classifier.augmentation = ConfigDict()  # of training images alone, drawn anew in every step
    # Zeros around the image, of which a window of its own size is taken at random; 0: off.
    classifier.augmentation.crop_padding = 0
    classifier.augmentation.flip = False  # left and right, of half of the images

    # experiments/classifier/losses.py. Held-out data are measured by the same, without smoothing.
    # cross_entropy: smoothing 0.0: (1 - smoothing) on the true class, the rest on all classes alike.
    # hinge (multi-class, of Crammer and Singer): smooth False: by a softmax in the place of the maximum.
    # top_k_entropy: k 5, guesses that are free; tau 1.0, temperature. The top-k accuracy is a metric then.
    classifier.loss = common.named("cross_entropy")
    # Adds l2 * w to the gradient, for every parameter w. The loss that is recorded, and that optimisers and
    # their line searches see, is without it.
    classifier.l2 = 0.0
    # Examples whose losses are computed at once: a batch's gradients, and those of its terms, are sums over
    # its parts of so many, in the memory of one. For batches, up to the whole set, that do not fit; 0: all
    # at once. Batch norm then sees a part. lib/games/microbatches.py
    classifier.microbatch = 0
    classifier.optimizer = common.optimizer("adam", 1e-3)  # its fields: configs/common.py
    classifier.averages = averages("model")  # its fields: configs/play.py
    # Metrics of the mathematics, lib/games/diagnostics.py: gradient_norms, parameter_norms and polyak_steps
    # come with a step; drift and hessian_gradients are computed besides.
    classifier.diagnostics = ("gradient_norms",)
    return config
