"""Which texts are alike?  python examples/embed.py MODEL"""

import sys

import rookery
from rookery.embedding import embed

TEXTS = [
    "Rooks nest in colonies.",
    "Crows build their nests alone.",
    "The bank raised its interest rates.",
    "Savings accounts now pay more.",
]


def main(path: str) -> None:
    vectors = embed(rookery.load(path), TEXTS)
    vectors -= vectors.mean(axis=0)  # what all texts share says nothing
    lengths = (vectors**2).sum(axis=1) ** 0.5
    for text, row in zip(TEXTS, (vectors / lengths[:, None]) @ (vectors / lengths[:, None]).T, strict=True):
        print(" ".join(f"{similarity:6.2f}" for similarity in row), text)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python examples/embed.py MODEL")
    main(sys.argv[1])
