"""Trains a small convolutional net on scikit-learn's handwritten digits (8x8 pixels, 1,797 images) and exports it: train.py [FOLDER].

Writes digits.pt2 (dynamic batch of 1 to 1024), test.npz (input_0: the test images, labels) and expected.npz (output_0: PyTorch's logits for them).
The files beside this script are what it wrote; only changing the net needs it.
"""

import os
import sys

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../scripts"))
from export_tools import arrays, save_arrays, save_program  # noqa: E402


class DigitNet(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
            nn.Conv2d(12, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 20, 3, padding=1, bias=False), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(80, 10),
        )  # fmt: skip


def images_and_labels():
    """Train images, test images, train labels, test labels; pixels in 0..1."""
    digits = load_digits()
    images = (digits.images[:, None] / 16).astype(np.float32)
    parts = train_test_split(images, digits.target.astype(np.int64), test_size=360, random_state=0, stratify=digits.target)
    return [torch.from_numpy(part) for part in parts]


def shifted(images: torch.Tensor) -> torch.Tensor:
    """Moves each image by up to one pixel along each axis."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    moves = torch.randint(0, 3, (len(images), 2)).tolist()
    return torch.stack([image[:, y : y + 8, x : x + 8] for image, (y, x) in zip(padded, moves)])


def train(net: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int = 60, batch: int = 64) -> None:
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=1e-2)
    steps = epochs * (len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    net.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(batch)[: len(images) // batch]:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(shifted(images[rows])), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    net.eval()


def main(folder: str) -> None:
    torch.manual_seed(0)
    train_images, test_images, train_labels, test_labels = images_and_labels()
    net = DigitNet()
    train(net, train_images, train_labels)
    with torch.no_grad():
        logits = net(test_images)
        program = torch.export.export(net, (test_images[:4].clone(),), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},))
    save_program(program, f"{folder}/digits.pt2")
    save_arrays(f"{folder}/test.npz", arrays("input", test_images), {"labels": test_labels.numpy()})
    save_arrays(f"{folder}/expected.npz", arrays("output", logits))
    print(f"{100 * (logits.argmax(1) == test_labels).float().mean():.2f} % of {len(test_labels)} test images")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else HERE)
