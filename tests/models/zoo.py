"""Exports whole models with seeded random weights: zoo.py [--folder FOLDER] [NAME...]; without names, all of them (about 5 GB).

Per model: {name}.pt2, {name}.core.pt2 (after run_decompositions), {name}.inputs.npz, {name}.expected.npz (float32 values of the eager module). A model with
dynamic sizes has inputs and expected values for several: {name}.b{batch}[s{sequence}].inputs.npz and so on.
"""

import argparse
import gc
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../scripts"))
import torchvision_cpu  # noqa: E402, F401
import torch  # noqa: E402
import torchvision  # noqa: E402
import transformers  # noqa: E402
from export_tools import save_example, save_forms  # noqa: E402
from torch import nn  # noqa: E402
from torch.export import Dim, export  # noqa: E402


def images(batch: int) -> tuple:
    """Smooth shapes and noise: pure noise looks the same everywhere to a deep net."""
    shapes = nn.functional.interpolate(torch.randn(batch, 3, 6, 6), size=(224, 224), mode="bicubic")
    return (shapes + 0.3 * torch.randn(batch, 3, 224, 224),)


def trained_like(model: nn.Module) -> nn.Module:
    """Moves away from what training starts with and hides mistakes: constant parameters, and batch statistics that let the signal die out."""
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() > 1 and parameter.min() == parameter.max():
                parameter.add_(0.1 * torch.randn_like(parameter))
        for layer in norms:
            layer.momentum = 1.0
        for layer in [layer for layer in model.modules() if norms and isinstance(layer, nn.Linear)]:
            layer.weight.normal_(0, layer.in_features**-0.5)
        if norms:
            model.train()(*images(8))
        for layer in norms:
            layer.running_mean.add_(0.1 * layer.running_var.sqrt() * torch.randn_like(layer.running_mean))
            layer.running_var.mul_(torch.empty_like(layer.running_var).uniform_(0.7, 1.4))
    return model.eval()


class Encoder(nn.Module):
    """BERT as plain tensors: token ids and mask in, hidden states and pooled state out."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask):
        output = self.bert(input_ids=input_ids, attention_mask=attention_mask)
        return output.last_hidden_state, output.pooler_output


def encoder(attention: str = "sdpa", **sizes) -> nn.Module:
    config = transformers.BertConfig(attn_implementation=attention, use_cache=False, **sizes)
    return Encoder(transformers.BertModel(config))


def minilm(attention: str) -> nn.Module:
    return encoder(attention, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)


def masked_tokens(batch: int, length: int = 128) -> tuple:
    """Rows end in padding, each a different amount; the first has none."""
    kept = length - torch.arange(batch).remainder(4) * (length // 5)
    if batch == 1:
        kept = kept - length // 5
    mask = (torch.arange(length) < kept[:, None]).to(torch.int64)
    return torch.randint(1, 30522, (batch, length)) * mask, mask


class Decoder(nn.Module):
    """GPT-2: token ids in, logits out."""

    def __init__(self):
        super().__init__()
        self.gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(use_cache=False))

    def forward(self, input_ids):
        return self.gpt2(input_ids=input_ids, use_cache=False).logits


BATCH, SEQUENCE = Dim("batch", min=1, max=16), Dim("sequence", min=2, max=512)

# name: (module, example inputs)
FIXED = {
    "resnet18": (torchvision.models.resnet18, lambda: images(1)),
    "resnet50": (torchvision.models.resnet50, lambda: images(1)),
    "mobilenet_v3_large": (torchvision.models.mobilenet_v3_large, lambda: images(1)),
    "vit_b_16": (torchvision.models.vit_b_16, lambda: images(1)),
    "bert_base": (encoder, lambda: masked_tokens(1)),
    "minilm": (lambda: minilm("sdpa"), lambda: masked_tokens(2)),
    "minilm_eager": (lambda: minilm("eager"), lambda: masked_tokens(2)),
    "gpt2": (Decoder, lambda: (torch.randint(0, 50257, (1, 128)),)),
}

# name: (module, dynamic shapes, {suffix: example inputs}); the first one is what is exported with
DYNAMIC = {
    "resnet18_dynamic": (
        torchvision.models.resnet18,
        ({0: BATCH},),
        {"b3": lambda: images(3), "b1": lambda: images(1), "b8": lambda: images(8)},
    ),
    "bert_base_dynamic": (
        encoder,
        ({0: BATCH, 1: SEQUENCE},) * 2,
        {"b2s40": lambda: masked_tokens(2, 40), "b1s17": lambda: masked_tokens(1, 17), "b4s128": lambda: masked_tokens(4, 128)},
    ),
}


def make(name: str, folder: str) -> None:
    torch.manual_seed(0)
    build, dynamic, examples = DYNAMIC[name] if name in DYNAMIC else (FIXED[name][0], None, {"": FIXED[name][1]})
    model = trained_like(build())
    inputs = {suffix: example() for suffix, example in examples.items()}
    for suffix, args in inputs.items():
        save_example(model, args, {}, f"{folder}/{name}.{suffix}" if suffix else f"{folder}/{name}")
    with torch.no_grad():
        save_forms(export(model, next(iter(inputs.values())), dynamic_shapes=dynamic), f"{folder}/{name}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Exports models with random weights.")
    parser.add_argument("--folder", default=os.path.join(HERE, "made"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*FIXED, *DYNAMIC]))
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    for name in arguments.names or [*FIXED, *DYNAMIC]:
        print(name, flush=True)
        make(name, arguments.folder)
        gc.collect()


if __name__ == "__main__":
    main()
