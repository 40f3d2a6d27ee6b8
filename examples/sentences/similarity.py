"""Prints how alike the sentences are, from their embeddings: similarity.py OUTPUTS.npz."""

import os
import sys

import numpy as np

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sentences.txt")) as lines:
    sentences = lines.read().splitlines()
vectors = np.load(sys.argv[1])["output_0"]
similarity = vectors @ vectors.T
width = max(map(len, sentences))

print(" " * (width + 5) + "".join(f"{column + 1:6d}" for column in range(len(sentences))))
for row, sentence in enumerate(sentences):
    print(f"{row + 1:3d}  {sentence:{width}}" + "".join(f"{value:6.2f}" for value in similarity[row]))

np.fill_diagonal(similarity, -1)
print("\nmost alike")
for row, sentence in enumerate(sentences):
    nearest = int(similarity[row].argmax())
    print(f"  {similarity[row, nearest]:.2f}  {sentence:{width}}  ~  {sentences[nearest]}")
