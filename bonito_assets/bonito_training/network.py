"""A small Mistral network and its tokenizer, made for copying words out of a passage.

Two choices let a network of four million parameters copy from the first minute of training:

* The tokenizer writes a word in the same way wherever it stands. After a line break, an opening
  quote or parenthesis a joiner (U+2060) and a blank are put before the word, and taken out again
  on decoding, so that ``"The`` is the token of the quote and then the token of `` The``.
* The start weights hold an induction circuit ("... A B ... A" continues with B; Olsson et al.
  2022, arXiv 2209.11895): three heads of the first layer look 1, 2 and 3 tokens back, and the heads
  of the third layer look for places whose last words equal the present ones and vote for what came
  next. All other weights are random, and all are trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonito_assets.tables import CONTEXT_SLOT, PIPE

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

MARKERS = ("<|tasktype|>", "<|context|>", "<|task|>", PIPE, CONTEXT_SLOT)
BOS, EOS, PAD = "<s>", "</s>", "<pad>"
_JOINER = "\u2060"


@dataclass(frozen=True)
class Shape:
    """Sizes of a network; the default has 3.8 million parameters, 7.7 MB in bfloat16."""

    vocabulary: int = 3072
    width: int = 256
    layers: int = 6
    heads: int = 4
    inner: int = 320
    positions: int = 4096
    rope_theta: float = 1e6


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Gives a byte-level BPE tokenizer of `vocabulary` tokens, the five markers among them.

    Markers are added tokens but not special ones: they stay in the text when special tokens are
    left out. A beginning-of-text token is put before every text, as Mistral's tokenizer does.
    """
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    tokenizer = Tokenizer(models.BPE())
    openers = ((r"\n", "\n"), (r'(?<![A-Za-z0-9])"', '"'), (r"\(", "("))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(pattern + "(?=[A-Za-z0-9])"), opener + _JOINER + " ")
            for pattern, opener in openers
        ]
    )
    pieces = (
        r" ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+\x{2060}?|\n+\x{2060}?|\s+(?!\S)|\s+|\x{2060}"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteLevel(),
            decoders.Replace(_JOINER + " ", ""),
            decoders.Replace(_JOINER, ""),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(MARKERS),
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(m, normalized=False, special=False) for m in MARKERS])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


def build(shape: Shape) -> torch.nn.Module:
    """Gives the network as a plain torch module whose weights are named as Mistral's.

    Called with token ids (batch, length) it gives the last hidden states (batch, length, width);
    logits are their product with ``embed_tokens.weight``. It computes what
    ``transformers.MistralForCausalLM`` computes, and attends without the fused kernel, whose
    backward pass took a third of the step on a CPU (11,300 against 8,500 tokens a second).
    """
    import torch
    from torch import nn
    from torch.nn import functional as F

    depth = shape.width // shape.heads

    class Norm(nn.Module):
        def __init__(self, wide: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(wide))

        def forward(self, x: Any) -> Any:
            return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), 1e-5)

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            wide, inner = shape.width, shape.inner
            self.input_layernorm = Norm(wide)
            self.post_attention_layernorm = Norm(wide)
            names = ("q_proj", "k_proj", "v_proj", "o_proj")
            self.self_attn = nn.ModuleDict({n: nn.Linear(wide, wide, bias=False) for n in names})
            self.mlp = nn.ModuleDict(
                {
                    "gate_proj": nn.Linear(wide, inner, bias=False),
                    "up_proj": nn.Linear(wide, inner, bias=False),
                    "down_proj": nn.Linear(inner, wide, bias=False),
                }
            )

        def forward(self, x: Any, cos: Any, sin: Any, mask: Any) -> Any:
            batch, length, _ = x.shape

            def heads(name: str, y: Any) -> Any:
                y = self.self_attn[name](y)
                return y.view(batch, length, shape.heads, depth).transpose(1, 2)

            def rotated(z: Any) -> Any:
                a, b = z.chunk(2, -1)
                return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

            y = self.input_layernorm(x)
            q, k, v = rotated(heads("q_proj", y)), rotated(heads("k_proj", y)), heads("v_proj", y)
            weights = (q @ k.transpose(-1, -2)) * depth**-0.5 + mask
            seen = F.softmax(weights, -1, dtype=torch.float32).to(v.dtype) @ v
            x = x + self.self_attn["o_proj"](seen.transpose(1, 2).reshape(batch, length, -1))
            y = self.post_attention_layernorm(x)
            return x + self.mlp["down_proj"](
                F.silu(self.mlp["gate_proj"](y)) * self.mlp["up_proj"](y)
            )

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
            self.layers = nn.ModuleList(Layer() for _ in range(shape.layers))
            self.norm = Norm(shape.width)
            angle = torch.arange(shape.positions).float()[:, None] * _frequencies(shape)
            self.register_buffer("cos", angle.cos(), persistent=False)
            self.register_buffer("sin", angle.sin(), persistent=False)

        def forward(self, ids: Any) -> Any:
            length = ids.shape[1]
            x = self.embed_tokens(ids)
            if torch.is_autocast_enabled(x.device.type):
                x = x.to(torch.get_autocast_dtype(x.device.type))
            cos, sin = self.cos[:length].to(x.dtype), self.sin[:length].to(x.dtype)
            mask = torch.full((length, length), -1e4, dtype=x.dtype, device=x.device).triu(1)
            for layer in self.layers:
                x = layer(x, cos, sin, mask)
            return self.norm(x)

    return Network()


def _frequencies(shape: Shape) -> torch.Tensor:
    """Gives the angle per token of each pair of dimensions of a head (rotary embedding)."""
    import torch

    depth = shape.width // shape.heads
    return shape.rope_theta ** (-torch.arange(0, depth, 2).float() / depth)


def start(network: torch.nn.Module, shape: Shape, seed: int) -> None:
    """Fills `network` with random weights and the induction circuit. Needs 3 layers, 4 heads.

    Sizes follow from the norms: embeddings have length about 1, so a normalised state is about
    ``sqrt(width)`` times as long. Channel 0 of every embedding is a constant, from which the heads
    that look back by position make their query and key.
    """
    import torch

    if shape.layers < 3 or shape.heads != 4:
        raise ValueError(
            f"the induction circuit needs at least 3 layers and exactly 4 heads, "
            f"not {shape.layers} and {shape.heads}"
        )
    random = torch.Generator().manual_seed(seed)
    wide, depth = shape.width, shape.width // shape.heads
    frequency = _frequencies(shape)

    def orthonormal(n: int) -> torch.Tensor:
        return torch.linalg.qr(torch.randn(n, n, generator=random))[0]

    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.dim() == 2:
                fan_in = wide if "embed" in name else weight.shape[1]
                weight.copy_(torch.randn(weight.shape, generator=random) * fan_in**-0.5)
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    weight.mul_(0.1)
        network.embed_tokens.weight[:, 0] = 4 * wide**-0.5

        # Four orthogonal parts of the state: what a word is, and what stood 1, 2, 3 tokens before.
        basis = orthonormal(wide)
        word = basis[:, :depth].T
        past = [basis[:, depth * i : depth * (i + 1)] for i in (1, 2, 3)]

        # Looking back by position: the kernel sum(cos(angle * (distance - back))) over the eight
        # fastest pairs peaks at the wanted distance; 1.7 makes the peak about 5 above its
        # neighbours in the logit.
        attention = network.layers[0].self_attn
        for head, back in enumerate((1, 2, 3)):
            query, key = torch.zeros(depth, wide), torch.zeros(depth, wide)
            for pair in range(min(8, depth // 2)):
                query[pair, 0] = 1.7 * math.cos(back * frequency[pair])
                query[pair + depth // 2, 0] = -1.7 * math.sin(back * frequency[pair])
                key[pair, 0] = 1.7
            rows = slice(head * depth, (head + 1) * depth)
            attention["q_proj"].weight[rows], attention["k_proj"].weight[rows] = query, key
            attention["v_proj"].weight[rows] = word
            attention["o_proj"].weight[:, rows] = past[head] * 0.125

        # Looking for the same words: compare (present, 1 back, 2 back) with (1, 2, 3 back) of every
        # place, in the dimensions that turn so slowly that distance does not matter.
        slow = [i for i in range(depth // 2) if frequency[i] < 0.004]
        rows_of_slow = slow + [i + depth // 2 for i in slow]
        attention = network.layers[2].self_attn
        compared = (
            (word, past[0].T, 2.2),
            (past[0].T, past[1].T, 0.67),
            (past[1].T, past[2].T, 0.45),
        )
        for head in range(shape.heads):
            query, key = torch.zeros(depth, wide), torch.zeros(depth, wide)
            for present, before, gain in compared:
                mix = orthonormal(depth)[: len(rows_of_slow)] * gain**0.5
                query[rows_of_slow] += mix @ present
                key[rows_of_slow] += mix @ before
            rows = slice(head * depth, (head + 1) * depth)
            attention["q_proj"].weight[rows], attention["k_proj"].weight[rows] = query, key
        whole = orthonormal(wide)
        attention["v_proj"].weight.copy_(whole)
        attention["o_proj"].weight.copy_(whole.T * 0.4)


def save(network: torch.nn.Module, tokenizer: Tokenizer, shape: Shape, folder: Path) -> None:
    """Writes `folder` as a Hugging Face checkpoint: Mistral, bfloat16, safetensors, tokenizer."""
    import torch
    from transformers import GenerationConfig, MistralConfig, MistralForCausalLM
    from transformers import PreTrainedTokenizerFast as Fast

    config = MistralConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.width // shape.heads,
        max_position_embeddings=shape.positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        rms_norm_eps=1e-5,
        sliding_window=None,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.token_to_id(BOS),
        eos_token_id=tokenizer.token_to_id(EOS),
        pad_token_id=tokenizer.token_to_id(PAD),
        dtype="bfloat16",
    )
    model = MistralForCausalLM(config)
    weights = {f"model.{name}": value for name, value in network.state_dict().items()}
    left = model.load_state_dict(weights, strict=False)
    if left.unexpected_keys or set(left.missing_keys) - {"lm_head.weight"}:
        raise ValueError(f"{folder}: weights do not fit a Mistral network: {left}")
    model.tie_weights()
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )
    folder.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    Fast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=shape.positions,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)


def parameters(shape: Shape) -> int:
    """Gives the number of weights of a network of `shape`; the output shares the embeddings."""
    layer = 4 * shape.width**2 + 3 * shape.width * shape.inner + 2 * shape.width
    return shape.vocabulary * shape.width + shape.layers * layer + shape.width


def described(shape: Shape) -> dict[str, Any]:
    """Gives the sizes of `shape` and its number of parameters, for a report."""
    return {**asdict(shape), "parameters": parameters(shape)}
