"""What the official data sets hold, so that nothing else goes by their names. No torch.

Counts and hashes of MNIST, FashionMNIST and CIFAR-10 were taken from their official pixels. Of the others there are
published counts, and published means and standard deviations of all pixels (to 16 digits of CIFAR-100, 8 of SVHN, 4 of
TinyImageNet).
"""

from __future__ import annotations

from ddbench.core.infos import Contents

TEN = tuple(str(digit) for digit in range(10))
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest",
    "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard",
    "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum",
    "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
    "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone",
    "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf",
    "woman", "worm",
)  # fmt: skip

MNIST_CONTENTS = Contents(
    counts={
        "train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        "test": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    },
    scheme="idx",
    digests={
        "train": "63b539495d51be8c659998db3f7bcd7a7e3c8cc7b501611b8f8f118cab88f5a2",
        "test": "025231e72fcb5777f547c944466003aa10f28aa53d079a3a27c39696bfe4352c",
    },
    class_names=TEN,
)
FASHIONMNIST_CONTENTS = Contents(
    counts={"train": (6000,) * 10, "test": (1000,) * 10},
    scheme="idx",
    digests={
        "train": "5f0210d80a32217d1087a2295b7dc9ca00ff636c5adf55e7281f91dac0a8efc5",
        "test": "e818a600d96debd905b60afdbad1a18a670afdd9061bc7c323961453271e6a45",
    },
    class_names=CLOTHES,
)
SVHN_CONTENTS = Contents(
    counts={
        "train": (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
        "test": (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595),
    },
    scheme="svhn",
    mean={"train": (0.4376821, 0.4437697, 0.47280442)},
    std={"train": (0.19803012, 0.20101562, 0.19703614)},
    tolerance=1e-5,  # computed in float32 by those who published them
    class_names=TEN,
)
CIFAR10_CONTENTS = Contents(
    counts={"train": (5000,) * 10, "test": (1000,) * 10},
    scheme="cifar",
    digests={
        "train": "38bbcc49096075a1107d79f58db94cb9ac3aa02a3e6d8860542ae729ce7cae2d",
        "test": "63d0d83f936100e441010fa6d621e7a80b3defcc5dd0d3f9c32330f09e917fce",
    },
    class_names=CIFAR10,
)
CIFAR100_CONTENTS = Contents(
    counts={"train": (500,) * 100, "test": (100,) * 100},
    scheme="cifar",
    mean={
        "train": (0.5070751592371323, 0.48654887331495095, 0.4409178433670343),
        "test": (0.5088964127604166, 0.48739301317401956, 0.44194221124387256),
    },
    std={
        "train": (0.2673342858792401, 0.2564384629170883, 0.27615047132568404),
        "test": (0.2682515741720801, 0.2573637364478126, 0.2770957707973042),
    },
    class_names=CIFAR100,
)
TINYIMAGENET_CONTENTS = Contents(
    counts={"train": (500,) * 200, "test": (50,) * 200},
    scheme="tiny",
    mean={"train": (0.4802, 0.4481, 0.3975)},
    std={"train": (0.2770, 0.2691, 0.2821)},
    tolerance=5e-4,  # four digits, and JPEG decoders differ
)
