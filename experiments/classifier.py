"""Trains the classifier whose features measure generated images: LeNet, on any labelled data.

    python experiments/classifier.py --workdir runs/classifier
    python experiments/classifier.py --workdir runs/classifier --config.dataset=fashion_mnist

Writes WORKDIR/DATASET.msgpack, for `evaluate.py --features` and `jaxgan.metrics.load_lenet`. The
MNIST weights that come with the package are the file of the first command.
"""

from ml_collections import config_dict

from jaxgan.training import classifying, command_line


def get_config():
    config = config_dict.ConfigDict()
    config.seed = 0
    config.dataset = "mnist"  # or folder:PATH, or a name of TensorFlow Datasets
    config.data_dir = config_dict.placeholder(str)  # where TFDS keeps its data sets
    config.on_bad_image = "stop"  # or skip: bad images are left out and counted
    config.evaluate_on = "test"  # or validation, put aside from the training data
    config.image_size = 28
    config.channels = 1
    config.batch_size = 128
    config.epochs = 14
    config.learning_rate = 3e-3  # its highest, from where it falls along a cosine
    config.shift = 2  # pixels that a training image is moved by at most
    return config


if __name__ == "__main__":
    command_line.start(get_config, classifying.train)
