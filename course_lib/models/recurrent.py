"""Two recurrent language models to compare the course model with.

BLiMP reports every phenomenon for a 5-gram model, an LSTM, a Transformer-XL and GPT-2. The 5-gram
model is in `ngram.py`; this module holds small versions of the other two. Both read token ids of
shape [B, T] and return logits of shape [B, T, V], so everything that scores `course-lm` scores
them too.

Both models are causal: the logits at position t depend on tokens 0..t alone. Padding on the
right therefore changes nothing at the real positions, and `attention_mask` is accepted only so
that all models can be called in the same way.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class LSTMConfig:
    """Sizes of a `CourseLSTM`; the width serves the embedding, the state and the tied output."""

    vocab_size: int
    width: int = 256
    layers: int = 2
    dropout: float = 0.0
    model_type: str = "course_lstm"


@dataclass(frozen=True)
class TXLConfig:
    """Sizes of a `CourseTXL`; the memory is as long as a segment."""

    vocab_size: int
    width: int = 160
    layers: int = 4
    heads: int = 4
    segment: int = 16
    dropout: float = 0.0
    model_type: str = "course_txl"


@dataclass
class BaselineOutput:
    """What a forward pass returns: `logits`, shape [B, T, V], before the softmax."""

    logits: Tensor


class Baseline(nn.Module):
    """What the two models share: a tied embedding, the output layer, saving and loading."""

    config_class: type

    def __init__(self, config: LSTMConfig | TXLConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.width)
        # Small enough that the tied output starts with logits of about unit size.
        nn.init.normal_(self.embed.weight, std=config.width**-0.5)
        self.norm = nn.LayerNorm(config.width)
        self.output_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.dropout = nn.Dropout(config.dropout)

    def hidden(self, x: Tensor) -> Tensor:
        """Map embeddings [B, T, d] to the states [B, T, d] from which the next token is read."""
        raise NotImplementedError

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> BaselineOutput:
        """Logits of the next token after every prefix.

        Parameters
        ----------
        input_ids : Tensor, integer, shape [B, T]
            Token ids, padded on the right where rows differ in length.
        attention_mask : Tensor, shape [B, T], optional
            Has no effect on real positions because both models are causal. A mask that starts
            with 0 (padding on the left) would change the result and is refused.

        Returns
        -------
        BaselineOutput
            `logits` of shape [B, T, V].

        Raises
        ------
        ValueError
            If `input_ids` is not of shape [B, T] with T >= 1, or padding stands on the left.
        """
        if input_ids.dim() != 2 or input_ids.shape[1] == 0:
            raise ValueError(
                f"input_ids has shape {list(input_ids.shape)}; we need [B, T] with T >= 1. "
                "For one sequence, add a batch dimension with ids[None]."
            )
        if attention_mask is not None and not bool(attention_mask[:, 0].all()):
            raise ValueError(
                "The attention mask starts with 0, so padding stands on the left. A recurrent "
                "model reads padding as if it were text: pad on the right instead."
            )
        states = self.norm(self.hidden(self.dropout(self.embed(input_ids))))
        # The output layer shares its weights with the embedding (Press & Wolf 2017).
        return BaselineOutput(
            functional.linear(self.dropout(states), self.embed.weight, self.output_bias)
        )

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write `config.json` and `model.safetensors`; `dtype=torch.float16` halves the file."""
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self.config), indent=2) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
        weights = {name: w.detach().to(dtype=dtype) for name, w in self.state_dict().items()}
        weights = {name: w.contiguous().cpu() for name, w in weights.items()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    @classmethod
    def from_pretrained(cls, folder: str | Path, dtype: torch.dtype = torch.float32) -> Self:
        """Load a saved model in `dtype` (whatever the dtype of the file) and in eval mode.

        Raises
        ------
        ValueError
            If the folder holds a model of another type.
        """
        from safetensors.torch import load_file

        settings = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        expected = cls.config_class.model_type
        if settings.get("model_type") != expected:
            raise ValueError(
                f"{folder} holds a model of type {settings.get('model_type')!r}, and "
                f"{cls.__name__} reads {expected!r}. `load_baseline(folder)` picks the class."
            )
        model = cls(cls.config_class(**settings))
        model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
        return model.to(dtype).eval()


class CourseLSTM(Baseline):
    """A word-level LSTM language model (Hochreiter & Schmidhuber 1997; Zaremba et al. 2014).

    The whole past is squeezed into one state vector per layer, which is rewritten at each token.

    >>> model = CourseLSTM(LSTMConfig(vocab_size=50, width=16, layers=1))
    >>> model(torch.tensor([[2, 7, 9]])).logits.shape
    torch.Size([1, 3, 50])
    """

    config_class = LSTMConfig

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__(config)
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(
            config.width, config.width, config.layers, batch_first=True, dropout=between
        )
        # A forget gate that starts open lets gradients reach far back from the first step on.
        for layer in range(config.layers):
            bias = getattr(self.lstm, f"bias_ih_l{layer}")
            nn.init.constant_(bias[config.width : 2 * config.width], 1.0)

    def hidden(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]


class CourseTXL(Baseline):
    """A small Transformer-XL (Dai et al. 2019): attention within segments, memory between them.

    The text is cut into segments of `config.segment` tokens. In each layer a token attends to
    the earlier tokens of its segment, to itself, and to the previous segment's inputs to that
    layer: the memory, through which no gradient flows. So information travels one segment
    further with each layer. Attention scores use relative distances (equation in `TXLBlock`).

    The paper runs one segment after the other. The memory of a layer is the detached output of
    the layer below, one segment earlier, so we can just as well run layer after layer with all
    segments at once. The numbers are the same and the CPU has larger matrices to work on.

    >>> model = CourseTXL(TXLConfig(vocab_size=50, width=16, layers=2, heads=2, segment=4))
    >>> model(torch.tensor([[2, 7, 9, 4, 4, 8]])).logits.shape
    torch.Size([1, 6, 50])
    """

    config_class = TXLConfig

    def __init__(self, config: TXLConfig) -> None:
        super().__init__(config)
        if config.width % config.heads:
            raise ValueError(
                f"The width {config.width} cannot be split evenly among {config.heads} heads."
            )
        self.blocks = nn.ModuleList(TXLBlock(config) for _ in range(config.layers))

    def hidden(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        size = self.config.segment
        x = functional.pad(x, (0, 0, 0, -t % size)).view(b, -1, size, d)  # [B, S, L, d]
        for block in self.blocks:
            # The segment before; zeros stand before the first one and are masked in the block.
            memory = functional.pad(x.detach()[:, :-1], (0, 0, 0, 0, 1, 0))
            x = block(x, memory)
        return x.reshape(b, -1, d)[:, :t]


class TXLBlock(nn.Module):
    """One layer: relative attention over memory and segment, then an MLP (both pre-norm).

    The score of query i for key j, with R the sinusoid of the distance i - j (Dai et al. 2019,
    section 3.3): score = (q_i + u) . k_j + (q_i + v) . W_R R_{i-j}, divided by sqrt(d_head).
    """

    def __init__(self, config: TXLConfig) -> None:
        super().__init__()
        d, size = config.width, config.segment
        self.heads, self.head_width, self.size = config.heads, d // config.heads, size
        self.norm_attention, self.norm_mlp = nn.LayerNorm(d), nn.LayerNorm(d)
        self.query, self.key_value = nn.Linear(d, d), nn.Linear(d, 2 * d)
        self.position, self.out = nn.Linear(d, d, bias=False), nn.Linear(d, d)
        self.u = nn.Parameter(torch.zeros(config.heads, 1, self.head_width))
        self.v = nn.Parameter(torch.zeros(config.heads, 1, self.head_width))
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.dropout = nn.Dropout(config.dropout)
        # Key j = 0..L-1 is memory, j = L..2L-1 the segment itself; query i stands at key L + i.
        distance = torch.arange(size)[:, None] + size - torch.arange(2 * size)[None, :]
        self.register_buffer("distance", distance.clamp(min=0), persistent=False)  # [L, 2L]
        self.register_buffer("future", distance < 0, persistent=False)
        self.register_buffer("sinusoid", sinusoids(2 * size, d), persistent=False)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Update the segments x [B, S, L, d] given their memory [B, S, L, d]."""
        x = x + self.dropout(self.attend(x, memory))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))

    def attend(self, x: Tensor, memory: Tensor) -> Tensor:
        b, s, size, d = x.shape
        x, memory = self.norm_attention(x), self.norm_attention(memory)
        q = self.split(self.query(x))  # [B, S, H, L, dh]
        k, v = map(self.split, self.key_value(torch.cat([memory, x], 2)).chunk(2, -1))
        content = (q + self.u) @ k.transpose(-1, -2)  # [B, S, H, L, 2L]
        by_distance = self.split(self.position(self.sinusoid))  # [H, 2L, dh]
        position = (q + self.v) @ by_distance.transpose(-1, -2)
        position = position.gather(-1, self.distance.expand_as(content))
        scores = (content + position) / math.sqrt(self.head_width)
        scores = scores.masked_fill(self.future, -torch.inf)
        empty = torch.zeros(s, 1, 1, 2 * size, dtype=torch.bool, device=x.device)
        empty[0, ..., :size] = True  # the first segment has no memory
        pattern = self.dropout(scores.masked_fill(empty, -torch.inf).softmax(-1))
        return self.out((pattern @ v).transpose(-2, -3).reshape(b, s, size, d))

    def split(self, x: Tensor) -> Tensor:
        """[..., T, d] -> [..., H, T, d_head]."""
        return x.unflatten(-1, (self.heads, self.head_width)).transpose(-2, -3)


def sinusoids(n: int, width: int) -> Tensor:
    """Sine and cosine of the distances 0..n-1 at `width` / 2 frequencies, shape [n, width]."""
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angle = torch.arange(n)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], -1)[:, :width]


def load_baseline(folder: str | Path, dtype: torch.dtype = torch.float32) -> Baseline:
    """Load a `CourseLSTM` or a `CourseTXL`, whichever `config.json` in the folder names."""
    classes = {cls.config_class.model_type: cls for cls in (CourseLSTM, CourseTXL)}
    settings = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    kind = settings.get("model_type")
    if kind not in classes:
        raise ValueError(f"{folder} holds a model of type {kind!r}; we know {sorted(classes)}.")
    return classes[kind].from_pretrained(folder, dtype)
