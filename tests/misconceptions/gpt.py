"""Wrong answers to the tasks of chapter 03."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from nanopoet.checker.trial import misconception
from nanopoet_ref import gpt as reference

# --- count_parameters ---------------------------------------------------------------------------


@misconception(
    "gpt.count_parameters",
    "count tensors, not numbers",
    "You count how many tensors there are. A matrix of 5 × 3 is one tensor, but 15 numbers.",
)
def count_tensors(model):
    return len(list(model.parameters()))


@misconception(
    "gpt.count_parameters",
    "without the biases",
    "You count matrices only. Biases and norms are learned, too, though they have one axis.",
)
def without_biases(model):
    return sum(p.numel() for p in model.parameters() if p.dim() > 1)


@misconception(
    "gpt.count_parameters",
    "count what is stored",
    "You count all that a checkpoint stores. Buffers are in it, which are not learned, and a "
    "shared matrix is in it twice.",
)
def count_stored(model):
    return sum(tensor.numel() for tensor in model.state_dict().values())


@misconception(
    "gpt.count_parameters",
    "the top level only",
    "You count what belongs to the model itself. What belongs to its parts, and to their parts, "
    "is missing.",
)
def top_level(model):
    return sum(p.numel() for p in model.parameters(recurse=False))


@misconception(
    "gpt.count_parameters",
    "linear layers only",
    "You count linear layers. Embeddings, norms and single parameters are learned as well.",
)
def linear_only(model):
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    return sum(p.numel() for layer in layers for p in layer.parameters())


@misconception(
    "gpt.count_parameters",
    "count rows",
    "len() of a matrix is the number of its rows. Use the product of all its axes.",
)
def count_rows(model):
    return sum(len(p) for p in model.parameters())


@misconception(
    "gpt.count_parameters",
    "count bytes",
    "You count bytes. A number in float32 takes four of them.",
)
def count_bytes(model):
    return sum(p.numel() * p.element_size() for p in model.parameters())


@misconception(
    "gpt.count_parameters",
    "a shared matrix twice",
    "You go through the parts one by one, and a matrix that two of them share is counted twice. "
    "It is learned once.",
)
def shared_twice(model):
    return sum(p.numel() for m in model.modules() for p in m.parameters(recurse=False))


@misconception(
    "gpt.count_parameters",
    "parts counted again and again",
    "parameters() of a part lists those of its parts as well. If you ask every part for them, "
    "what lies deep is counted once for each level above it.",
)
def again_and_again(model):
    return sum(p.numel() for m in model.modules() for p in m.parameters())


@misconception(
    "gpt.count_parameters",
    "one level down only",
    "You count what belongs to the parts of the model, but neither what is its own nor what "
    "belongs to parts of parts.",
)
def one_level(model):
    return sum(p.numel() for m in model.children() for p in m.parameters(recurse=False))


@misconception(
    "gpt.count_parameters",
    "without what is called bias",
    "You leave out the biases. They are learned like the matrices.",
)
def not_called_bias(model):
    return sum(p.numel() for name, p in model.named_parameters() if "bias" not in name)


@misconception(
    "gpt.count_parameters",
    "innermost parts only",
    "You count parts that have no parts. A parameter may belong to the whole, too; and a matrix "
    "that two of them share counts once.",
)
def innermost(model):
    leaves = [m for m in model.modules() if not list(m.children())]
    return sum(p.numel() for m in leaves for p in m.parameters())


@misconception(
    "gpt.count_parameters",
    "each size once",
    "A set keeps equal numbers once. Two parts of the same size are two.",
)
def each_size_once(model):
    return sum({p.numel() for p in model.parameters()})


# --- MLP ----------------------------------------------------------------------------------------


@misconception(
    "gpt.MLP",
    "ReLU without the square",
    "In the modern style you stop at ReLU. The positive numbers are squared as well.",
)
class ReluOnly(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(F.relu(x) if self.modern else F.gelu(x))


@misconception(
    "gpt.MLP",
    "square before ReLU",
    "You square first. A square is never negative, so ReLU has nothing left to do, and −2 counts "
    "as much as 2.",
)
class SquareFirst(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(F.relu(x.square()) if self.modern else F.gelu(x))


@misconception(
    "gpt.MLP",
    "GELU in both styles",
    "You use GELU in both styles. The modern style has ReLU².",
)
class AlwaysGelu(reference.MLP):
    def forward(self, x):
        return self.proj(F.gelu(self.fc(x)))


@misconception(
    "gpt.MLP",
    "ReLU² in both styles",
    "You use ReLU² in both styles. The style of GPT-2 has GELU.",
)
class AlwaysRelu2(reference.MLP):
    def forward(self, x):
        return self.proj(F.relu(self.fc(x)).square())


@misconception(
    "gpt.MLP",
    "styles swapped",
    "Your two bends have changed places: GELU belongs to GPT-2, ReLU² to the modern style.",
)
class Swapped(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(F.gelu(x) if self.modern else F.relu(x).square())


@misconception(
    "gpt.MLP",
    "GELU by tanh",
    "You use the approximation of GELU by tanh. It is off by up to 0.0005; the weights of this "
    "model were learned with the exact one.",
)
class TanhGelu(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        x = F.relu(x).square() if self.modern else F.gelu(x, approximate="tanh")
        return self.proj(x)


@misconception(
    "gpt.MLP",
    "no bend",
    "You widen and narrow, with nothing in between. Two matrices in a row are one matrix.",
)
class NoBend(reference.MLP):
    def forward(self, x):
        return self.proj(self.fc(x))


@misconception(
    "gpt.MLP",
    "bend at the end",
    "You bend the answer after it has been narrowed. The bend belongs between the two matrices, "
    "where there is room; and an answer must be able to be negative.",
)
class BendLast(reference.MLP):
    def forward(self, x):
        x = self.proj(self.fc(x))
        return F.relu(x).square() if self.modern else F.gelu(x)


@misconception(
    "gpt.MLP",
    "add x already here",
    "You add x to the answer. The block does that, so the stream would be added twice.",
)
class AddHere(reference.MLP):
    def forward(self, x):
        return x + super().forward(x)


@misconception(
    "gpt.MLP",
    "ReLU in the style of GPT-2",
    "In the style of GPT-2 you use ReLU. Its bend is GELU, which lets a little of the negative "
    "numbers through.",
)
class ReluInGpt2(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(F.relu(x).square() if self.modern else F.relu(x))


@misconception(
    "gpt.MLP",
    "GELU squared",
    "In the modern style you square GELU. There the bend is ReLU, squared.",
)
class GeluSquared(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(F.gelu(x).square() if self.modern else F.gelu(x))


@misconception(
    "gpt.MLP",
    "SiLU instead of GELU",
    "You use SiLU, x·σ(x). It looks like GELU, which is x·Φ(x).",
)
class Silu(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(F.relu(x).square() if self.modern else F.silu(x))


@misconception(
    "gpt.MLP",
    "GELU by a sigmoid",
    "You use x·σ(1.702·x), an approximation that is off by up to 0.02. Asked for is x·Φ(x).",
)
class SigmoidGelu(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(F.relu(x).square() if self.modern else x * torch.sigmoid(1.702 * x))


@misconception(
    "gpt.MLP",
    "Φ without √2",
    "Your Φ is ½·(1 + erf(x)). The error function wants x/√2 there.",
)
class NoRootOfTwo(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(F.relu(x).square() if self.modern else 0.5 * x * (1 + torch.erf(x)))


@misconception(
    "gpt.MLP",
    "Φ without ½",
    "Your Φ is 1 + erf(x/√2), which goes up to 2. Half of it goes up to 1.",
)
class NoHalf(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(F.relu(x).square() if self.modern else x * (1 + torch.erf(x / 2**0.5)))


@misconception(
    "gpt.MLP",
    "Φ without x",
    "You bend to Φ(x), a number between 0 and 1. GELU is x·Φ(x).",
)
class PhiOnly(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(F.relu(x).square() if self.modern else 0.5 * (1 + torch.erf(x / 2**0.5)))


@misconception(
    "gpt.MLP",
    "a slope below 0",
    "Your ReLU lets negative numbers through, and the square makes them positive. They become 0.",
)
class Leaky(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(F.leaky_relu(x).square() if self.modern else F.gelu(x))


@misconception(
    "gpt.MLP",
    "x·|x| for ReLU²",
    "Your negative numbers keep their sign and are squared, too. They become 0.",
)
class SignedSquare(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return self.proj(x * x.abs() if self.modern else F.gelu(x))


@misconception(
    "gpt.MLP",
    "bend at the beginning",
    "You bend x and not what fc makes of it. The bend belongs between the two matrices.",
)
class BendFirst(reference.MLP):
    def forward(self, x):
        return self.proj(self.fc(F.relu(x).square() if self.modern else F.gelu(x)))


@misconception(
    "gpt.MLP",
    "bend twice",
    "You bend after proj as well. An answer must be able to be negative: the bend stands "
    "between the two matrices only.",
)
class BendTwice(reference.MLP):
    def forward(self, x):
        x = super().forward(x)
        return F.relu(x).square() if self.modern else F.gelu(x)


@misconception(
    "gpt.MLP",
    "not narrowed",
    "You return 4C numbers for each position. proj brings them back to C.",
)
class NotNarrowed(reference.MLP):
    def forward(self, x):
        x = self.fc(x)
        return F.relu(x).square() if self.modern else F.gelu(x)


@misconception(
    "gpt.MLP",
    "matrices without their biases",
    "You multiply by the matrices and leave out their biases. In the style of GPT-2 both layers "
    "have one.",
)
class NoBiases(reference.MLP):
    def forward(self, x):
        x = x @ self.fc.weight.T
        return (F.relu(x).square() if self.modern else F.gelu(x)) @ self.proj.weight.T


@misconception(
    "gpt.MLP",
    "cut off from the gradient",
    "Your values are right, but fc learns nothing: detach, no_grad or .data cuts it off from "
    "the gradient.",
)
class CutOff(reference.MLP):
    def forward(self, x):
        x = self.fc(x).detach()
        return self.proj(F.relu(x).square() if self.modern else F.gelu(x))


# --- Block --------------------------------------------------------------------------------------


@misconception(
    "gpt.Block",
    "norm after the sum",
    "You normalise the stream after each addition. That was the first transformer; pre-norm "
    "leaves the stream alone and normalises the copy that a layer reads.",
)
class PostNorm(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = self.norm_1(x + self.dropout(self.attn(x, positions, cache, mask)))
        return self.norm_2(x + self.dropout(self.mlp(x)))


@misconception(
    "gpt.Block",
    "normalise the stream itself",
    "You put the normalised vector in place of the stream and add to that. What the stream held "
    "before, and the clear way for gradients, is lost.",
)
class NormalisedStream(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = self.norm_1(x)
        x = x + self.dropout(self.attn(x, positions, cache, mask))
        x = self.norm_2(x)
        return x + self.dropout(self.mlp(x))


@misconception(
    "gpt.Block",
    "replace the stream",
    "Your layers put their answers in place of the stream. An answer is added: keep what you "
    "have, add what you found.",
)
class Replace(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return self.dropout(self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "replace the stream at the end",
    "You add the answer of attention, but return the answer of the MLP alone. The stream is lost "
    "at the end of every block.",
)
class ReplaceAtTheEnd(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return self.dropout(self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "both at once",
    "Your MLP reads the stream as it was before attention. It comes second, and works on what "
    "attention has gathered.",
)
class Parallel(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        attended = self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return x + attended + self.dropout(self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "MLP first",
    "Your MLP comes before attention. It would have nothing to work on yet: attention gathers "
    "first.",
)
class MlpFirst(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.mlp(self.norm_2(x)))
        return x + self.dropout(self.attn(self.norm_1(x), positions, cache, mask))


@misconception(
    "gpt.Block",
    "no norm",
    "Your layers read the stream as it is. It grows from block to block, and so does what they "
    "add to it: it explodes.",
)
class NoNorm(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(x, positions, cache, mask))
        return x + self.dropout(self.mlp(x))


@misconception(
    "gpt.Block",
    "one norm for both",
    "You use norm_1 twice. Each of the two layers has a norm of its own, with its own weights.",
)
class OneNorm(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return x + self.dropout(self.mlp(self.norm_1(x)))


@misconception(
    "gpt.Block",
    "positions not passed on",
    "Attention does not get the positions and takes 0, 1, 2 … instead. In a padded row, or with a "
    "cache, these are wrong.",
)
class NoPositions(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(self.norm_1(x), None, cache, mask))
        return x + self.dropout(self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "mask not passed on",
    "Attention does not get the mask, so padded rows see their fillers.",
)
class NoMask(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(self.norm_1(x), positions, cache))
        return x + self.dropout(self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "cache not passed on",
    "Attention does not get the cache, so it sees only the newest characters.",
)
class NoCache(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(self.norm_1(x), positions, None, mask))
        return x + self.dropout(self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "no dropout",
    "You do not use dropout. It does nothing while it is 0.0, which is how this hides.",
)
class NoDropout(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.attn(self.norm_1(x), positions, cache, mask)
        return x + self.mlp(self.norm_2(x))


@misconception(
    "gpt.Block",
    "dropout on the stream",
    "Your dropout falls on the sum, and so on the stream itself: what it sets to 0 is lost to all "
    "later blocks. It belongs on the answers.",
)
class DropTheStream(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = self.dropout(x + self.attn(self.norm_1(x), positions, cache, mask))
        return self.dropout(x + self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "x += …",
    "x += … writes into the tensor of the caller, who may need it, and so may the gradient. "
    "x = x + … makes a new one.",
)
class InPlace(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x += self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        x += self.dropout(self.mlp(self.norm_2(x)))
        return x


@misconception(
    "gpt.Block",
    "norm on the answers",
    "You normalise the answers of the layers. What they read is to be normalised, not what they "
    "say.",
)
class NormOnAnswers(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.norm_1(self.attn(x, positions, cache, mask)))
        return x + self.dropout(self.norm_2(self.mlp(x)))


@misconception(
    "gpt.Block",
    "norm at the end of the block",
    "You normalise the stream once more before you return it. The stream is never normalised; "
    "the model does that with a copy, before the head.",
)
class NormAtTheEnd(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        return self.norm_2(super().forward(x, positions, cache, mask))


@misconception(
    "gpt.Block",
    "attention replaces the stream",
    "The answer of attention takes the place of the stream; only the MLP adds. Both are added.",
)
class AttentionReplaces(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return x + self.dropout(self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "the old stream at the end",
    "You add the answer of the MLP to the stream as it was before attention. The answer of "
    "attention is lost.",
)
class OldStream(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        y = x + self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return x + self.dropout(self.mlp(self.norm_2(y)))


@misconception(
    "gpt.Block",
    "answers without the stream",
    "You return the two answers, but not what the block was given. The stream goes through: "
    "keep what you have, add what you found.",
)
class AnswersOnly(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        attended = self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return attended + self.dropout(self.mlp(self.norm_2(x + attended)))


@misconception(
    "gpt.Block",
    "MLP reads attention alone",
    "Your MLP reads the answer of attention without the stream. It reads the sum of both.",
)
class MlpReadsAttention(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        attended = self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return x + attended + self.dropout(self.mlp(self.norm_2(attended)))


@misconception(
    "gpt.Block",
    "no MLP",
    "Your block ends after attention. The MLP has its turn, too.",
)
class NoMlp(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        return x + self.dropout(self.attn(self.norm_1(x), positions, cache, mask))


@misconception(
    "gpt.Block",
    "norms exchanged",
    "Attention reads through norm_2 and the MLP through norm_1. Each has its own weights, so it "
    "matters which.",
)
class NormsExchanged(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(self.norm_2(x), positions, cache, mask))
        return x + self.dropout(self.mlp(self.norm_1(x)))


@misconception(
    "gpt.Block",
    "MLP without a norm",
    "Attention reads a normalised copy, but the MLP reads the stream as it is.",
)
class MlpRaw(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return x + self.dropout(self.mlp(x))


@misconception(
    "gpt.Block",
    "attention without a norm",
    "The MLP reads a normalised copy, but attention reads the stream as it is.",
)
class AttentionRaw(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(x, positions, cache, mask))
        return x + self.dropout(self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "no dropout after attention",
    "The answer of attention goes into the stream without dropout. Both answers pass through it.",
)
class NoDropoutAttention(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.attn(self.norm_1(x), positions, cache, mask)
        return x + self.dropout(self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "no dropout after the MLP",
    "The answer of the MLP goes into the stream without dropout. Both answers pass through it.",
)
class NoDropoutMlp(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return x + self.mlp(self.norm_2(x))


@misconception(
    "gpt.Block",
    "dropout before the layers",
    "Your dropout falls on what the layers read. It belongs on what they answer.",
)
class DropoutBefore(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.attn(self.dropout(self.norm_1(x)), positions, cache, mask)
        return x + self.mlp(self.dropout(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "dropout on the stream at the end",
    "Your last dropout falls on the sum, and so on the stream itself. It belongs on the answer "
    "of the MLP.",
)
class DropoutAtTheEnd(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return self.dropout(x + self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "dropout outside of training, too",
    "F.dropout goes on in evaluation mode unless it is told. self.dropout knows the mode, or "
    "say training=self.training.",
)
class DropoutAlways(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        p = self.dropout.p
        x = x + F.dropout(self.attn(self.norm_1(x), positions, cache, mask), p)
        return x + F.dropout(self.mlp(self.norm_2(x)), p)


@misconception(
    "gpt.Block",
    "nothing passed on",
    "Attention gets no positions, no cache and no mask. All three go with the normalised copy.",
)
class NothingPassed(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(self.norm_1(x)))
        return x + self.dropout(self.mlp(self.norm_2(x)))


@misconception(
    "gpt.Block",
    "cache and mask exchanged",
    "The order is attn(input, positions, cache, mask). You hand the mask over where the cache "
    "belongs.",
)
class CacheAndMask(reference.Block):
    def forward(self, x, positions, cache=None, mask=None):
        x = x + self.dropout(self.attn(self.norm_1(x), positions, mask, cache))
        return x + self.dropout(self.mlp(self.norm_2(x)))


# --- GPT ----------------------------------------------------------------------------------------


class Parts(reference.GPT):
    """The model in steps, each of which a wrong answer can do in another way."""

    def check(self, T):
        if self.config.block_size < T:
            raise ValueError("too long")

    def places(self, idx, positions):
        return torch.arange(idx.shape[1]) if positions is None else positions

    def start(self, idx, positions):
        x = self.wte(idx)
        x = x + self.wpe(positions) if self.wpe is not None else F.rms_norm(x, x.shape[-1:])
        return self.dropout(x)

    def turns(self, x, positions, caches, mask):
        for i, block in enumerate(self.blocks):
            x = block(x, positions, caches[i] if caches else None, mask)
        return x

    def finish(self, x):
        return self.head(self.norm_f(x))

    def forward(self, idx, positions=None, caches=None, mask=None):
        self.check(idx.shape[1])
        positions = self.places(idx, positions)
        return self.finish(self.turns(self.start(idx, positions), positions, caches, mask))


@misconception(
    "gpt.GPT",
    "positions of the caller ignored",
    "You always count 0, 1, 2 … In a padded row the first character does not stand in column 0, "
    "and with a cache the new ones are not the first.",
)
class OwnPositions(Parts):
    def places(self, idx, positions):
        return torch.arange(idx.shape[1], device=idx.device)


@misconception(
    "gpt.GPT",
    "no position embedding",
    "You never add wpe. The model of GPT-2 then hardly knows in which order its characters stand.",
)
class NoPositionTable(Parts):
    def places(self, idx, positions):
        return torch.arange(idx.shape[1], device=idx.device) if positions is None else positions

    def start(self, idx, positions):
        x = self.wte(idx)
        return self.dropout(x if self.wpe is not None else F.rms_norm(x, x.shape[-1:]))


@misconception(
    "gpt.GPT",
    "positions for the table only",
    "You add wpe, but hand the blocks no positions of the caller. In the modern style they are the "
    "only ones who use them.",
)
class PositionsForTheTable(Parts):
    def turns(self, x, positions, caches, mask):
        return super().turns(x, torch.arange(x.shape[1], device=x.device), caches, mask)


@misconception(
    "gpt.GPT",
    "embedding not normalised",
    "In the modern style you take the embedding as it is. It is brought to size 1 first.",
)
class RawEmbedding(Parts):
    def start(self, idx, positions):
        x = self.wte(idx)
        return self.dropout(x if self.wpe is None else x + self.wpe(positions))


@misconception(
    "gpt.GPT",
    "embedding normalised in both styles",
    "You bring the embedding to size 1 in both styles. In the style of GPT-2 it is taken as it is.",
)
class AlwaysNormalised(Parts):
    def start(self, idx, positions):
        x = self.wte(idx)
        x = F.rms_norm(x, x.shape[-1:])
        return self.dropout(x if self.wpe is None else x + self.wpe(positions))


@misconception(
    "gpt.GPT",
    "no last norm",
    "The head reads the stream as it is. norm_f gives it numbers of the same size, however deep "
    "the model is.",
)
class NoLastNorm(Parts):
    def finish(self, x):
        return self.head(x)


@misconception(
    "gpt.GPT",
    "softmax at the end",
    "You return probabilities. The model stops at the logits: the loss takes its own softmax, and "
    "two of them in a row hardly learn.",
)
class Softmax(Parts):
    def finish(self, x):
        return super().finish(x).softmax(-1)


@misconception(
    "gpt.GPT",
    "log-softmax at the end",
    "You return logarithms of probabilities. The model stops at the logits, which may be of any "
    "size; temperature and loss begin there.",
)
class LogSoftmax(Parts):
    def finish(self, x):
        return super().finish(x).log_softmax(-1)


@misconception(
    "gpt.GPT",
    "the last position only",
    "You return the logits of the last position. That is enough to write, but training learns "
    "from all T positions at once.",
)
class LastOnly(Parts):
    def finish(self, x):
        return super().finish(x[:, -1])


@misconception(
    "gpt.GPT",
    "x + block(x)",
    "You add the answer of a block to the stream. A block returns the whole stream; it has added "
    "its answers already.",
)
class AddBlocks(Parts):
    def turns(self, x, positions, caches, mask):
        for i, block in enumerate(self.blocks):
            x = x + block(x, positions, caches[i] if caches else None, mask)
        return x


@misconception(
    "gpt.GPT",
    "every block reads the embedding",
    "Every block of yours begins with the embedding, and only the last one is heard. Each block "
    "reads what the one before it has left.",
)
class FromTheStart(Parts):
    def turns(self, x, positions, caches, mask):
        for i, block in enumerate(self.blocks):
            out = block(x, positions, caches[i] if caches else None, mask)
        return out


@misconception(
    "gpt.GPT",
    "one cache for all blocks",
    "All blocks write into the first cache. Each block has keys and values of its own, so there is "
    "one cache for each.",
)
class OneCache(Parts):
    def turns(self, x, positions, caches, mask):
        for block in self.blocks:
            x = block(x, positions, caches[0] if caches else None, mask)
        return x


@misconception(
    "gpt.GPT",
    "caches not passed on",
    "Your blocks do not get their caches. With a cache, idx holds the new characters only, and "
    "then they are all that the blocks see.",
)
class NoCaches(Parts):
    def turns(self, x, positions, caches, mask):
        return super().turns(x, positions, None, mask)


@misconception(
    "gpt.GPT",
    "mask not passed on",
    "Your blocks do not get the mask, so padded rows see their fillers.",
)
class MaskForgotten(Parts):
    def turns(self, x, positions, caches, mask):
        return super().turns(x, positions, caches, None)


@misconception(
    "gpt.GPT",
    "no dropout after the embedding",
    "You leave out the dropout between embedding and blocks. It does nothing while it is 0.0, "
    "which is how this hides.",
)
class DropoutForgotten(Parts):
    def start(self, idx, positions):
        x = self.wte(idx)
        return x + self.wpe(positions) if self.wpe is not None else F.rms_norm(x, x.shape[-1:])


@misconception(
    "gpt.GPT",
    "no limit",
    "You let a text of any length in. In the style of GPT-2 the table then has no row for it and "
    "the message is a riddle; the modern style goes on with distances it has never seen.",
)
class NoLimit(Parts):
    def check(self, T):
        pass


@misconception(
    "gpt.GPT",
    "limit one too low",
    "You refuse exactly block_size tokens. It fits: its positions are 0 … block_size − 1.",
)
class LimitTooLow(Parts):
    def check(self, T):
        if self.config.block_size <= T:
            raise ValueError("too long")


@misconception(
    "gpt.GPT",
    "LayerNorm for the embedding",
    "In the modern style you take the mean of each vector away. RMSNorm leaves it: it only "
    "divides by the root of the mean square.",
)
class LayerNormEmbedding(Parts):
    def start(self, idx, positions):
        x = self.wte(idx)
        x = x + self.wpe(positions) if self.wpe is not None else F.layer_norm(x, x.shape[-1:])
        return self.dropout(x)


@misconception(
    "gpt.GPT",
    "length 1 for size 1",
    "You give each vector the length 1. RMSNorm divides by the root of the mean square, not of "
    "the sum: its numbers have size 1, and the vector the length √C.",
)
class LengthOne(Parts):
    def start(self, idx, positions):
        x = self.wte(idx)
        x = x + self.wpe(positions) if self.wpe is not None else F.normalize(x, dim=-1)
        return self.dropout(x)


@misconception(
    "gpt.GPT",
    "mean square without the root",
    "You divide by the mean square. Its root is the size of the numbers.",
)
class NoRoot(Parts):
    def start(self, idx, positions):
        x = self.wte(idx)
        x = (
            x + self.wpe(positions)
            if self.wpe is not None
            else x / x.square().mean(-1, keepdim=True)
        )
        return self.dropout(x)


@misconception(
    "gpt.GPT",
    "divide by the standard deviation",
    "You divide by the standard deviation, which takes the mean away first. RMSNorm takes the "
    "root of the mean square.",
)
class StandardDeviation(Parts):
    def start(self, idx, positions):
        x = self.wte(idx)
        x = x + self.wpe(positions) if self.wpe is not None else x / x.std(-1, keepdim=True)
        return self.dropout(x)


@misconception(
    "gpt.GPT",
    "one size for all positions",
    "You divide all vectors of a batch by one number. Each vector has its own root of the mean "
    "square.",
)
class OneSize(Parts):
    def start(self, idx, positions):
        x = self.wte(idx)
        x = x + self.wpe(positions) if self.wpe is not None else x / x.square().mean().sqrt()
        return self.dropout(x)


@misconception(
    "gpt.GPT",
    "sum normalised in both styles",
    "You bring the embedding to size 1 in both styles, after the position is added. In the "
    "style of GPT-2 the sum is taken as it is.",
)
class SumNormalised(Parts):
    def start(self, idx, positions):
        x = self.wte(idx)
        x = x if self.wpe is None else x + self.wpe(positions)
        return self.dropout(F.rms_norm(x, x.shape[-1:]))


@misconception(
    "gpt.GPT",
    "embedding times √C",
    "You multiply the embedding by √C, as the first transformer did. GPT-2 takes it as it is.",
)
class TimesRootC(Parts):
    def start(self, idx, positions):
        x = self.wte(idx) * self.config.n_embd**0.5
        x = x + self.wpe(positions) if self.wpe is not None else F.rms_norm(x, x.shape[-1:])
        return self.dropout(x)


@misconception(
    "gpt.GPT",
    "positions from 1",
    "Your positions begin with 1. The first is 0, and a table of block_size rows ends with "
    "block_size − 1.",
)
class FromOne(Parts):
    def places(self, idx, positions):
        return torch.arange(1, idx.shape[1] + 1) if positions is None else positions


@misconception(
    "gpt.GPT",
    "all rows of the position table",
    "You take block_size positions whatever comes in. A text of T ids has T of them.",
)
class AllPlaces(Parts):
    def places(self, idx, positions):
        return torch.arange(self.config.block_size) if positions is None else positions


@misconception(
    "gpt.GPT",
    "None for the blocks' positions",
    "You make positions for the table, but hand on the caller's None. The blocks need 0, 1, 2 … "
    "as well.",
)
class NoneForBlocks(Parts):
    def forward(self, idx, positions=None, caches=None, mask=None):
        self.check(idx.shape[1])
        x = self.start(idx, self.places(idx, positions))
        return self.finish(self.turns(x, positions, caches, mask))


@misconception(
    "gpt.GPT",
    "dropout before the positions",
    "Your dropout falls on the embedding alone, before the position is added. It falls on the sum.",
)
class DropoutBeforePositions(Parts):
    def start(self, idx, positions):
        x = self.dropout(self.wte(idx))
        return x + self.wpe(positions) if self.wpe is not None else F.rms_norm(x, x.shape[-1:])


@misconception(
    "gpt.GPT",
    "norm_f after each block",
    "You normalise the stream after each block. norm_f comes once, before the head.",
)
class NormEachBlock(Parts):
    def turns(self, x, positions, caches, mask):
        for i, block in enumerate(self.blocks):
            x = self.norm_f(block(x, positions, caches[i] if caches else None, mask))
        return x


@misconception(
    "gpt.GPT",
    "no blocks without caches",
    "zip ends with the shorter list: without caches, none of your blocks is asked. Take a None "
    "for each block.",
)
class NoBlocks(Parts):
    def turns(self, x, positions, caches, mask):
        for block, cache in zip(self.blocks, caches or [], strict=False):
            x = block(x, positions, cache, mask)
        return x


@misconception(
    "gpt.GPT",
    "all caches to each block",
    "You hand the whole list of caches to each block. Block i gets caches[i].",
)
class AllCaches(Parts):
    def turns(self, x, positions, caches, mask):
        for block in self.blocks:
            x = block(x, positions, caches, mask)
        return x


@misconception(
    "gpt.GPT",
    "cache and mask exchanged",
    "The order is block(x, positions, cache, mask). You hand the mask over where the cache "
    "belongs.",
)
class CacheAndMaskExchanged(Parts):
    def turns(self, x, positions, caches, mask):
        for i, block in enumerate(self.blocks):
            x = block(x, positions, mask, caches[i] if caches else None)
        return x


@misconception(
    "gpt.GPT",
    "caches in another order",
    "Block i gets a cache of another block. They stand in the order of the blocks.",
)
class CachesReversed(Parts):
    def turns(self, x, positions, caches, mask):
        return super().turns(x, positions, caches[::-1] if caches else None, mask)


@misconception(
    "gpt.GPT",
    "a mask of your own",
    "You make a mask where the caller gave none. Attention is causal by itself; mask goes on as "
    "it is.",
)
class OwnMask(Parts):
    def turns(self, x, positions, caches, mask):
        T = x.shape[1]
        mask = torch.ones(T, T, dtype=torch.bool).tril() if mask is None else mask
        return super().turns(x, positions, caches, mask)


@misconception(
    "gpt.GPT",
    "one block for all layers",
    "You ask the first block again and again. Each layer has its own.",
)
class OneBlock(Parts):
    def turns(self, x, positions, caches, mask):
        for i in range(len(self.blocks)):
            x = self.blocks[0](x, positions, caches[i] if caches else None, mask)
        return x


@misconception(
    "gpt.GPT",
    "blocks backwards",
    "You go through the blocks from the last to the first. They have an order: the first one "
    "reads the embedding.",
)
class Backwards(Parts):
    def turns(self, x, positions, caches, mask):
        for i, block in enumerate(reversed(self.blocks)):
            x = block(x, positions, caches[i] if caches else None, mask)
        return x


@misconception(
    "gpt.GPT",
    "head without its bias",
    "You multiply by the head's matrix and leave out its bias, which holds how often each token "
    "occurs.",
)
class HeadWithoutBias(Parts):
    def finish(self, x):
        return self.norm_f(x) @ self.head.weight.T


@misconception(
    "gpt.GPT",
    "embedding as the head",
    "You use the embedding's matrix for the head. GPT-2 shares it; here the head has a matrix "
    "and a bias of its own.",
)
class Tied(Parts):
    def finish(self, x):
        return self.norm_f(x) @ self.wte.weight.T


@misconception(
    "gpt.GPT",
    "no head",
    "You return the stream. The head makes V logits of its C numbers.",
)
class NoHead(Parts):
    def finish(self, x):
        return self.norm_f(x)


@misconception(
    "gpt.GPT",
    "the last position only, (B, 1, V)",
    "You return the logits of the last position, as nanoGPT does when it writes. Asked for are "
    "those of all T positions.",
)
class LastOfThree(Parts):
    def finish(self, x):
        return super().finish(x[:, [-1]])


@misconception(
    "gpt.GPT",
    "dropout before the head",
    "Your dropout stands before the head. It belongs between embedding and blocks.",
)
class DropoutBeforeHead(Parts):
    def forward(self, idx, positions=None, caches=None, mask=None):
        self.check(idx.shape[1])
        positions, rate = self.places(idx, positions), self.dropout.p
        self.dropout.p = 0.0
        x = self.turns(self.start(idx, positions), positions, caches, mask)
        self.dropout.p = rate
        return self.head(self.dropout(self.norm_f(x)))


@misconception(
    "gpt.GPT",
    "assert for ValueError",
    "assert raises an AssertionError, and nothing at all under python -O. Say `raise "
    "ValueError(…)`.",
)
class Assert(Parts):
    def check(self, T):
        assert self.config.block_size >= T


@misconception(
    "gpt.GPT",
    "cut to the block",
    "You read the last block_size ids of a longer text. The caller would take the logits for "
    "those of the whole: refuse it.",
)
class CutToBlock(Parts):
    def forward(self, idx, positions=None, caches=None, mask=None):
        idx = idx[:, -self.config.block_size :]
        if positions is not None:
            positions = positions[..., -self.config.block_size :]
        return super().forward(idx, positions, caches, mask)


@misconception(
    "gpt.GPT",
    "limit in the style of GPT-2 only",
    "You refuse long texts only where there is a position table. The limit holds in both styles.",
)
class LimitOfGpt2(Parts):
    def check(self, T):
        if self.wpe is not None:
            super().check(T)


@misconception(
    "gpt.GPT",
    "limit on the positions",
    "You look at the largest position. The limit is on T, the number of ids: in the modern "
    "style a short text may stand anywhere.",
)
class LimitOnPositions(Parts):
    def forward(self, idx, positions=None, caches=None, mask=None):
        positions = self.places(idx, positions)
        self.check(int(positions.max()) + 1)
        return self.finish(self.turns(self.start(idx, positions), positions, caches, mask))


@misconception(
    "gpt.GPT",
    "limit without positions only",
    "You look at the length only if no positions are given. A text can be too long with "
    "positions as well.",
)
class LimitWithoutPositions(Parts):
    def forward(self, idx, positions=None, caches=None, mask=None):
        if positions is None:
            self.check(idx.shape[1])
        positions = self.places(idx, positions)
        return self.finish(self.turns(self.start(idx, positions), positions, caches, mask))


# --- keep_top_k ---------------------------------------------------------------------------------


@misconception(
    "gpt.keep_top_k",
    "0 instead of −∞",
    "You set the others to 0. A logit of 0 is no probability of 0: e⁰ = 1. Only −∞ becomes 0 "
    "under softmax.",
)
def zero_the_rest(logits, k):
    best, index = logits.topk(min(k, logits.shape[-1]))
    return torch.zeros_like(logits).scatter(-1, index, best)


@misconception(
    "gpt.keep_top_k",
    "the k-th is lost",
    "You keep what is larger than the k-th. The k-th itself belongs to the k largest.",
)
def lose_the_kth(logits, k):
    kth = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits <= kth, float("-inf"))


@misconception(
    "gpt.keep_top_k",
    "k of the whole batch",
    "You look for the k largest of all rows together. Each row is a choice of its own.",
)
def whole_batch(logits, k):
    kth = logits.flatten().topk(min(k, logits.numel())).values[-1]
    return logits.masked_fill(logits < kth, float("-inf"))


@misconception(
    "gpt.keep_top_k",
    "the limit of row 0 for all",
    "The k-th largest of row 0 decides for all rows. Each row has its own.",
)
def limit_of_row_0(logits, k):
    kth = logits[0].topk(min(k, logits.shape[-1])).values[-1]
    return logits.masked_fill(logits < kth, float("-inf"))


@misconception(
    "gpt.keep_top_k",
    "k larger than the vocabulary",
    "topk cannot take more than there are. A k larger than V keeps everything.",
)
def too_many(logits, k):
    best, index = logits.topk(k)
    return torch.full_like(logits, float("-inf")).scatter(-1, index, best)


@misconception(
    "gpt.keep_top_k",
    "the k smallest",
    "You keep the smallest. A large logit is a likely token.",
)
def smallest(logits, k):
    best, index = logits.topk(min(k, logits.shape[-1]), largest=False)
    return torch.full_like(logits, float("-inf")).scatter(-1, index, best)


@misconception(
    "gpt.keep_top_k",
    "return the k largest only",
    "You return a row of k logits. Which token a logit belongs to is told by its place, so the row "
    "keeps its V places.",
)
def only_values(logits, k):
    return logits.topk(min(k, logits.shape[-1])).values


@misconception(
    "gpt.keep_top_k",
    "largest first",
    "You leave the logits sorted. Place v belongs to token v; put them back.",
)
def leave_sorted(logits, k):
    ordered = logits.sort(dim=-1, descending=True).values
    ordered[:, k:] = float("-inf")
    return ordered


@misconception(
    "gpt.keep_top_k",
    "write into the caller's logits",
    "You overwrite the logits that were handed to you. The caller may need them: make a new "
    "tensor.",
)
def in_place(logits, k):
    kth = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    logits[logits < kth] = float("-inf")
    return logits


@misconception(
    "gpt.keep_top_k",
    "k + 1 are kept",
    "You keep one logit too many. k of them are left, the k-th included.",
)
def one_more(logits, k):
    best, index = logits.topk(min(k + 1, logits.shape[-1]))
    return torch.full_like(logits, float("-inf")).scatter(-1, index, best)


@misconception(
    "gpt.keep_top_k",
    "a large negative number for −∞",
    "You set the others to −10⁹. A banned token is −∞ already, and would tie with them or lie "
    "below: take float('-inf').",
)
def minus_a_billion(logits, k):
    best, index = logits.topk(min(k, logits.shape[-1]))
    return torch.full_like(logits, -1e9).scatter(-1, index, best)


@misconception(
    "gpt.keep_top_k",
    "the smallest float for −∞",
    "You set the others to the smallest number there is. −∞ is smaller, and is what a token "
    "that was ruled out gets.",
)
def smallest_float(logits, k):
    best, index = logits.topk(min(k, logits.shape[-1]))
    return torch.full_like(logits, torch.finfo(logits.dtype).min).scatter(-1, index, best)


@misconception(
    "gpt.keep_top_k",
    "the largest are removed",
    "You set the k largest to −∞. They are the ones to keep.",
)
def remove_largest(logits, k):
    return logits.scatter(-1, logits.topk(min(k, logits.shape[-1])).indices, float("-inf"))


@misconception(
    "gpt.keep_top_k",
    "float32 whatever comes in",
    "torch.full makes float32. The result has the dtype of the logits: full_like, or say "
    "dtype=logits.dtype.",
)
def in_float32(logits, k):
    best, index = logits.topk(min(k, logits.shape[-1]))
    return torch.full(logits.shape, float("-inf")).scatter(-1, index, best)


@misconception(
    "gpt.keep_top_k",
    "sort once for the rank",
    "argsort says which token stands at each rank. The rank of each token is the argsort of that.",
)
def sort_once(logits, k):
    return logits.masked_fill(logits.argsort(-1, descending=True) >= k, float("-inf"))


@misconception(
    "gpt.keep_top_k",
    "0 times ∞",
    "You multiply a mask by −∞. Where it is 0, 0·∞ is NaN: masked_fill or where does it.",
)
def zero_times_infinity(logits, k):
    kth = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits + (logits < kth).to(logits.dtype) * float("-inf")


@misconception(
    "gpt.keep_top_k",
    "the k-th smallest as the limit",
    "kthvalue counts from the smallest. The k-th largest is number V − k + 1 there.",
)
def kth_smallest(logits, k):
    kth = logits.kthvalue(min(k, logits.shape[-1]), dim=-1, keepdim=True).values
    return logits.masked_fill(logits < kth, float("-inf"))


@misconception(
    "gpt.keep_top_k",
    "a limit without its axis",
    "Your limits have the shape (B,), which PyTorch lines up with the V columns. (B, 1) lines "
    "up with the rows.",
)
def without_axis(logits, k):
    kth = logits.topk(min(k, logits.shape[-1])).values[:, -1]
    return logits.masked_fill(logits < kth, float("-inf"))


@misconception(
    "gpt.keep_top_k",
    "k of each column",
    "You compare the rows with each other. Each row is a choice of its own: look along the last "
    "axis.",
)
def of_each_column(logits, k):
    best, index = logits.topk(min(k, logits.shape[0]), dim=0)
    return torch.full_like(logits, float("-inf")).scatter(0, index, best)


@misconception(
    "gpt.keep_top_k",
    "softmax already here",
    "You return probabilities. This step leaves logits; softmax comes after it.",
)
def softmax_here(logits, k):
    best, index = logits.topk(min(k, logits.shape[-1]))
    return torch.full_like(logits, float("-inf")).scatter(-1, index, best).softmax(-1)


@misconception(
    "gpt.keep_top_k",
    "the caller's tensor comes back",
    "If k cuts nothing you return the caller's tensor itself. Who writes into the result then "
    "changes the logits: return a copy.",
)
def same_tensor(logits, k):
    if k >= logits.shape[-1]:
        return logits
    best, index = logits.topk(k)
    return torch.full_like(logits, float("-inf")).scatter(-1, index, best)


@misconception(
    "gpt.keep_top_k",
    "a large k is an error",
    "You refuse a k larger than V. It keeps everything.",
)
def large_k_refused(logits, k):
    if k > logits.shape[-1]:
        raise ValueError("k is too large")
    best, index = logits.topk(k)
    return torch.full_like(logits, float("-inf")).scatter(-1, index, best)


# --- keep_top_p ---------------------------------------------------------------------------------


def nucleus(probs, remove):
    """Sort, remove what `remove(ordered)` says, put back and scale."""
    ordered, index = probs.sort(dim=-1, descending=True)
    ordered = ordered.masked_fill(remove(ordered), 0.0)
    kept = torch.zeros_like(probs).scatter(-1, index, ordered)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "cut where the sum exceeds p",
    "You remove the token that crosses the line, too, and then what is left does not reach p. "
    "Where one token alone exceeds p nothing is left, and 0 / 0 is NaN.",
)
def cut_too_early(probs, p):
    return nucleus(probs, lambda ordered: ordered.cumsum(-1) > p)


@misconception(
    "gpt.keep_top_p",
    "cut where p is reached",
    "You remove the token that reaches p. It is the one that completes the sum: only those after "
    "it go.",
)
def cut_at_p(probs, p):
    return nucleus(probs, lambda ordered: ordered.cumsum(-1) >= p)


@misconception(
    "gpt.keep_top_p",
    "one too many at exactly p",
    "If the likelier tokens hold exactly p, they are enough. You keep one more.",
)
def one_too_many(probs, p):
    return nucleus(probs, lambda ordered: ordered.cumsum(-1) - ordered > p)


@misconception(
    "gpt.keep_top_p",
    "not scaled",
    "What you keep does not sum to 1. Divide each row by its sum.",
)
def not_scaled(probs, p):
    ordered, index = probs.sort(dim=-1, descending=True)
    ordered = ordered.masked_fill(ordered.cumsum(-1) - ordered >= p, 0.0)
    return torch.zeros_like(probs).scatter(-1, index, ordered)


@misconception(
    "gpt.keep_top_p",
    "left sorted",
    "You leave the probabilities sorted. Place v belongs to token v; put them back.",
)
def left_sorted(probs, p):
    ordered = probs.sort(dim=-1, descending=True).values
    ordered = ordered.masked_fill(ordered.cumsum(-1) - ordered >= p, 0.0)
    return ordered / ordered.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "not sorted",
    "You add up the tokens in the order of the vocabulary. The likeliest must come first, or the "
    "sum is not made of the fewest.",
)
def not_sorted(probs, p):
    kept = probs.masked_fill(probs.cumsum(-1) - probs >= p, 0.0)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "the unlikeliest first",
    "You begin with the unlikeliest tokens and throw out the likeliest. Sort the other way round.",
)
def unlikeliest(probs, p):
    ordered, index = probs.sort(dim=-1)
    ordered = ordered.masked_fill(ordered.cumsum(-1) - ordered >= p, 0.0)
    kept = torch.zeros_like(probs).scatter(-1, index, ordered)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "p as a lower limit",
    "You keep the tokens whose own probability is at least p. It is their sum that must reach p.",
)
def lower_limit(probs, p):
    kept = probs.masked_fill(probs < p, 0.0)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "1 − p as a lower limit",
    "You remove the tokens less likely than 1 − p, each by itself. It is the sum of those that you "
    "keep that must reach p.",
)
def one_minus_p(probs, p):
    kept = probs.masked_fill(probs < 1 - p, 0.0)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "softmax again",
    "You take a softmax of what is left. It changes the ratios, and gives every removed token a "
    "probability again, since e⁰ = 1. Divide by the sum.",
)
def softmax_again(probs, p):
    return not_scaled(probs, p).softmax(-1)


@misconception(
    "gpt.keep_top_p",
    "row 0 decides how many",
    "The number of tokens that row 0 needs is used for all rows. Each row is cut by itself.",
)
def row_0_decides(probs, p):
    ordered, index = probs.sort(dim=-1, descending=True)
    count = int(((ordered.cumsum(-1) - ordered)[0] < p).sum())
    ordered[:, count:] = 0.0
    kept = torch.zeros_like(probs).scatter(-1, index, ordered)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "only the likeliest is saved",
    "You always keep the first token, but the one that crosses the line still goes wherever it "
    "is another one.",
)
def save_the_first(probs, p):
    def remove(ordered):
        gone = ordered.cumsum(-1) > p
        gone[:, 0] = False
        return gone

    return nucleus(probs, remove)


@misconception(
    "gpt.keep_top_p",
    "one more than needed",
    "You keep the token after the one that reaches p. The sum before a token decides, and that "
    "is one shift, not two.",
)
def shifted_twice(probs, p):
    def remove(ordered):
        gone = ordered.cumsum(-1) - ordered >= p
        gone[:, 1:] = gone[:, :-1].clone()
        return gone

    return nucleus(probs, remove)


@misconception(
    "gpt.keep_top_p",
    "a share of the largest",
    "You keep what has at least p times the largest probability. That is min-p; top-p looks at "
    "sums.",
)
def share_of_largest(probs, p):
    kept = probs.masked_fill(probs < p * probs.amax(-1, keepdim=True), 0.0)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "p of the vocabulary",
    "You keep the share p of all tokens. It is their probabilities that must sum to p, however "
    "many that takes.",
)
def share_of_vocabulary(probs, p):
    best, index = probs.topk(max(1, int(p * probs.shape[-1])))
    kept = torch.zeros_like(probs).scatter(-1, index, best)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "softmax of what is left",
    "You take a softmax of the probabilities that are left. It takes logits; of probabilities "
    "it changes the ratios. Divide by the sum.",
)
def softmax_of_the_rest(probs, p):
    kept = not_scaled(probs, p)
    return kept.masked_fill(kept == 0, float("-inf")).softmax(-1)


@misconception(
    "gpt.keep_top_p",
    "scaled down the columns",
    "You divide by the sums of the columns. Each row sums to 1.",
)
def scaled_columns(probs, p):
    kept = not_scaled(probs, p)
    return kept / kept.sum(0, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "scaled by the sum of the batch",
    "You divide by the sum of all rows together. Each row sums to 1.",
)
def scaled_by_batch(probs, p):
    kept = not_scaled(probs, p)
    return kept / kept.sum()


@misconception(
    "gpt.keep_top_p",
    "divided by p",
    "You divide by p. What is kept sums to p or more: divide by its sum.",
)
def divided_by_p(probs, p):
    return not_scaled(probs, p) / p


@misconception(
    "gpt.keep_top_p",
    "removed at the places of the sorted row",
    "You find out which places of the *sorted* row go, and remove these places from the "
    "unsorted one. Put the decision back by the index of sort first.",
)
def not_put_back(probs, p):
    ordered = probs.sort(dim=-1, descending=True).values
    kept = probs.masked_fill(ordered.cumsum(-1) - ordered >= p, 0.0)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "gather for scatter",
    "You put the row back with gather, which sorts it once more. scatter writes to the places "
    "that sort took from.",
)
def gather_for_scatter(probs, p):
    ordered, index = probs.sort(dim=-1, descending=True)
    kept = ordered.masked_fill(ordered.cumsum(-1) - ordered >= p, 0.0).gather(-1, index)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "what one row removes goes in all",
    "You collect the removed ids of all rows and remove them from every row. Each row is cut by "
    "itself.",
)
def removed_in_all_rows(probs, p):
    ordered, index = probs.sort(dim=-1, descending=True)
    kept = probs.clone()
    kept[:, index[ordered.cumsum(-1) - ordered >= p]] = 0.0
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "sorted down the columns",
    "You sort the rows of the batch against each other. Sort along the last axis.",
)
def sorted_columns(probs, p):
    ordered, index = probs.sort(dim=0, descending=True)
    ordered = ordered.masked_fill(ordered.cumsum(0) - ordered >= p, 0.0)
    kept = torch.zeros_like(probs).scatter(0, index, ordered)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "−∞ for probabilities",
    "You set removed probabilities to −∞. That is for logits; a probability that is gone is 0.",
)
def minus_infinity(probs, p):
    ordered, index = probs.sort(dim=-1, descending=True)
    ordered = ordered.masked_fill(ordered.cumsum(-1) - ordered >= p, float("-inf"))
    kept = torch.zeros_like(probs).scatter(-1, index, ordered)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "write into the caller's probabilities",
    "You remove tokens in the tensor that was handed to you. The caller may need it: make a new "
    "one.",
)
def into_probs(probs, p):
    probs[not_scaled(probs, p) == 0] = 0.0
    return probs / probs.sum(-1, keepdim=True)


@misconception(
    "gpt.keep_top_p",
    "the caller's tensor comes back",
    "At p = 1 you return the caller's tensor itself. Who writes into the result then changes "
    "the probabilities: return a copy.",
)
def same_probs(probs, p):
    return probs if p == 1 else nucleus(probs, lambda ordered: ordered.cumsum(-1) - ordered >= p)


# --- next_token_probs ---------------------------------------------------------------------------


def check_settings(temperature, top_k, top_p):
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError("refused")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError("refused")


def greedy(logits):
    return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)


def largest(logits, k):
    if k is None:
        return logits
    best, index = logits.topk(min(k, logits.shape[-1]))
    return torch.full_like(logits, float("-inf")).scatter(-1, index, best)


def likeliest(probs, p):
    return probs if p is None else nucleus(probs, lambda o: o.cumsum(-1) - o >= p)


@misconception(
    "gpt.next_token_probs",
    "multiply by the temperature",
    "You multiply the logits by the temperature. A low temperature then makes the unlikely "
    "likelier, which is the wrong way round: divide.",
)
def multiply(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits * temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "temperature after softmax",
    "You divide the probabilities, and scaling them to sum 1 undoes it. The temperature divides "
    "logits, where it changes the ratios.",
)
def divide_probs(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    probs = largest(logits, top_k).softmax(-1) / temperature
    return likeliest(probs / probs.sum(-1, keepdim=True), top_p)


@misconception(
    "gpt.next_token_probs",
    "top-p without the temperature",
    "Your top-p looks at the probabilities before the temperature. It must count those that are "
    "drawn from.",
)
def top_p_first(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    logits = largest(logits, top_k)
    kept = likeliest(logits.softmax(-1), top_p) > 0
    return (logits / temperature).masked_fill(~kept, float("-inf")).softmax(-1)


@misconception(
    "gpt.next_token_probs",
    "top-p before top-k",
    "Your top-p counts tokens that top-k will remove. First top-k, then softmax among those that "
    "are left, then top-p.",
)
def top_p_before_top_k(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    logits = logits / temperature
    kept = likeliest(logits.softmax(-1), top_p) > 0
    return largest(logits, top_k).masked_fill(~kept, float("-inf")).softmax(-1)


@misconception(
    "gpt.next_token_probs",
    "divide by a temperature of 0",
    "At temperature 0 you divide by 0. The result is ±∞, and softmax makes NaN of it. Greedy is a "
    "rule of its own.",
)
def divide_by_zero(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "top-k without scaling",
    "You remove tokens after softmax, and what is left does not sum to 1. Remove them before it, "
    "or divide by the sum.",
)
def top_k_after(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    probs = (logits / temperature).softmax(-1)
    if top_k is not None:
        probs = probs.masked_fill(largest(probs, top_k) < 0, 0.0)
    if top_p is not None:
        probs = not_scaled(probs, top_p)
    return probs


@misconception(
    "gpt.next_token_probs",
    "nothing is refused",
    "You take every argument as it comes. A negative temperature or top_k=0 is a slip of the "
    "caller, and an error now is better than strange poems later.",
)
def refuse_nothing(logits, temperature=1.0, top_k=None, top_p=None):
    if temperature == 0:
        return greedy(logits)
    logits = logits / temperature
    probs = (largest(logits, top_k) if top_k else logits).softmax(-1)
    return likeliest(probs, top_p) if top_p else probs


@misconception(
    "gpt.next_token_probs",
    "greedy before the errors",
    "At temperature 0 you return before you look at top_k and top_p. A wrong argument stays "
    "wrong; look at all of them first.",
)
def greedy_first(logits, temperature=1.0, top_k=None, top_p=None):
    if temperature == 0:
        return greedy(logits)
    check_settings(temperature, top_k, top_p)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "greedy gives an id",
    "At temperature 0 you return the id of the likeliest token. The result is always a row of V "
    "probabilities; draw takes the id from it.",
)
def greedy_id(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "greedy in integers",
    "one_hot gives integers. Probabilities have the dtype of the logits, at temperature 0, too.",
)
def greedy_integers(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1])
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "softmax over the batch",
    "Your softmax runs down the columns. Each row is a choice of its own: the last axis sums to 1.",
)
def over_the_batch(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k).softmax(0), top_p)


@misconception(
    "gpt.next_token_probs",
    "nearly 0 for 0",
    "You divide by a tiny temperature instead of 0. Two close logits then still share the "
    "probability: greedy is a rule of its own.",
)
def tiny_temperature(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    temperature = max(temperature, 1e-8)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "temperature 0 is taken for 1",
    "At temperature 0 you leave the division out, which is temperature 1. 0 means greedy.",
)
def zero_is_one(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    temperature = temperature or 1.0
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "temperature 0 refused",
    "You refuse temperature 0. It means greedy; only a negative one is an error.",
)
def zero_refused(logits, temperature=1.0, top_k=None, top_p=None):
    if temperature <= 0:
        raise ValueError("temperature")
    check_settings(temperature, top_k, top_p)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "exp without the maximum",
    "exp(1000) is ∞, and ∞ / ∞ is NaN. Take the largest logit of each row away first, as "
    "softmax does.",
)
def plain_exp(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    e = largest(logits / temperature, top_k).exp()
    return likeliest(e / e.sum(-1, keepdim=True), top_p)


@misconception(
    "gpt.next_token_probs",
    "greedy below a low temperature",
    "You take a low temperature for 0. At 0.05 the second token still has its chance.",
)
def greedy_when_low(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature < 0.1:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "either top-k or top-p",
    "With top_k you leave out top_p, or the other way round. Each of the two is done if it is "
    "given.",
)
def either_or(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    if top_k is not None:
        return largest(logits / temperature, top_k).softmax(-1)
    return likeliest((logits / temperature).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "top_k is ignored",
    "You leave top_k out. It keeps the k largest logits, before softmax.",
)
def no_top_k(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    return likeliest((logits / temperature).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "top_p is ignored",
    "You leave top_p out. It cuts the probabilities, after softmax.",
)
def no_top_p(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    return largest(logits / temperature, top_k).softmax(-1)


@misconception(
    "gpt.next_token_probs",
    "top-p of logits",
    "You hand logits to top-p. It adds up probabilities, so it comes after softmax.",
)
def top_p_of_logits(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k), top_p).softmax(-1)


@misconception(
    "gpt.next_token_probs",
    "softmax of probabilities",
    "You take a softmax of what are probabilities already. It makes them nearly equal.",
)
def softmax_twice(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p).softmax(-1)


@misconception(
    "gpt.next_token_probs",
    "top_k=0 is taken for None",
    "`if top_k` is false for 0 as well as for None. A top_k of 0 is an error: ask `is not None`.",
)
def top_k_0(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k or None, top_p)
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k or None).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "top_p=0 is let in",
    "You let top_p=0 in. No sum of probabilities is to be reached then; p lies in (0, 1].",
)
def top_p_0(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p or None)
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p or None)


@misconception(
    "gpt.next_token_probs",
    "0 is taken for None",
    "`if top_k` and `if top_p` are false for 0 as well as for None. Both are errors: ask `is "
    "not None`.",
)
def zeros_are_none(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k or None, top_p or None)
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k or None).softmax(-1), top_p or None)


@misconception(
    "gpt.next_token_probs",
    "top_p above 1 is let in",
    "You let a top_p above 1 in. Probabilities never sum to more than 1.",
)
def top_p_above_1(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p and min(top_p, 1.0))
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "top_p=1 is refused",
    "You refuse top_p=1. It keeps everything, and is allowed: p lies in (0, 1].",
)
def top_p_1(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if top_p == 1:
        raise ValueError("top_p")
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "a negative temperature is let in",
    "You let a negative temperature in. It makes the unlikely likely, which nobody wants: "
    "refuse it.",
)
def negative_temperature(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(abs(temperature), top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "assert for ValueError",
    "assert raises an AssertionError, and nothing at all under python -O. Say `raise "
    "ValueError(…)`.",
)
def asserts(logits, temperature=1.0, top_k=None, top_p=None):
    assert temperature >= 0
    assert top_k is None or top_k >= 1
    assert top_p is None or 0 < top_p <= 1
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "write into the caller's logits",
    "You divide the logits in place. They belong to the caller, who may need them: logits = "
    "logits / temperature makes new ones.",
)
def divide_in_place(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits)
    logits /= temperature
    return likeliest(largest(logits, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "float32 whatever comes in",
    "You calculate in float32. The probabilities have the dtype of the logits.",
)
def always_float32(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    logits = logits.float()
    if temperature == 0:
        return greedy(logits)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "greedy in float32",
    "At temperature 0 you return float32. Probabilities have the dtype of the logits there, too.",
)
def greedy_float32(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return greedy(logits).float()
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


@misconception(
    "gpt.next_token_probs",
    "greedy over the whole batch",
    "At temperature 0 you look for the largest logit of all rows together. Each row has its own.",
)
def greedy_of_batch(logits, temperature=1.0, top_k=None, top_p=None):
    check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return (logits == logits.max()).to(logits.dtype)
    return likeliest(largest(logits / temperature, top_k).softmax(-1), top_p)


# --- draw ---------------------------------------------------------------------------------------


@misconception(
    "gpt.draw",
    "take the likeliest",
    "You take the likeliest token every time. One of probability 0.3 must come 30 times in 100.",
)
def take_likeliest(probs, generator=None):
    return probs.argmax(-1, keepdim=True)


@misconception(
    "gpt.draw",
    "the generator is not used",
    "You draw from the global generator. The one that you were given decides nothing, so the same "
    "seed gives other poems.",
)
def global_generator(probs, generator=None):
    return torch.multinomial(probs, 1)


@misconception(
    "gpt.draw",
    "one point for all rows",
    "One random number decides for all rows. Equal rows then always draw the same token.",
)
def one_point(probs, generator=None):
    ends = probs.cumsum(-1)
    points = ends[:, -1:] * torch.rand(1, generator=generator)
    return torch.searchsorted(ends, points, right=True)


@misconception(
    "gpt.draw",
    "a point between 0 and 1",
    "Your point lies between 0 and 1, but a row that sums to 2 is 2 long: its far half is never "
    "hit. A row that sums to 0.2 is missed mostly.",
)
def between_0_and_1(probs, generator=None):
    points = torch.rand(len(probs), 1, generator=generator)
    return torch.searchsorted(probs.cumsum(-1), points, right=True)


@misconception(
    "gpt.draw",
    "softmax of probabilities",
    "You take a softmax of probabilities. It makes them nearly equal, and what had 0 gets e⁰ = 1.",
)
def softmax_of_probs(probs, generator=None):
    return torch.multinomial(probs.softmax(-1), 1, generator=generator)


@misconception(
    "gpt.draw",
    "a row of ids",
    "You return ids (B,). A column (B, 1) can be appended to ids (B, T) as it is.",
)
def row_of_ids(probs, generator=None):
    return torch.multinomial(probs, 1, generator=generator)[:, 0]


@misconception(
    "gpt.draw",
    "seed anew at each call",
    "You set the generator back to its seed at each call. Every step of a poem would then draw "
    "with the same numbers.",
)
def seed_anew(probs, generator=None):
    if generator is not None:
        generator.manual_seed(generator.initial_seed())
    return torch.multinomial(probs, 1, generator=generator)


@misconception(
    "gpt.draw",
    "a new generator where none is given",
    "Without a generator you make a new one, and a new one always begins with the same seed. "
    "Every call draws the same.",
)
def new_generator(probs, generator=None):
    return torch.multinomial(probs, 1, generator=generator or torch.Generator())


@misconception(
    "gpt.draw",
    "seed the global generator",
    "You hand the seed on to the global generator. From then on the whole program draws from your "
    "seed.",
)
def seed_the_global(probs, generator=None):
    if generator is not None:
        torch.manual_seed(torch.randint(2**31, (1,), generator=generator).item())
    return torch.multinomial(probs, 1)


@misconception(
    "gpt.draw",
    "all tokens alike",
    "You choose among the possible tokens as if all were equally likely.",
)
def all_alike(probs, generator=None):
    return torch.multinomial((probs > 0).to(probs.dtype), 1, generator=generator)


@misconception(
    "gpt.draw",
    "the place in the sorted row",
    "You sort the row before you draw, and return the place in the sorted one. The id is what "
    "the index of sort holds there.",
)
def place_in_sorted(probs, generator=None):
    ordered = probs.sort(-1, descending=True).values
    return torch.multinomial(ordered, 1, generator=generator)


@misconception(
    "gpt.draw",
    "the largest product",
    "You multiply each probability by a random number and take the largest. A likely token then "
    "wins more often than it should.",
)
def largest_product(probs, generator=None):
    return (probs * torch.rand(probs.shape, generator=generator)).argmax(-1, keepdim=True)


@misconception(
    "gpt.draw",
    "Gumbel noise on probabilities",
    "You add Gumbel noise to probabilities. It belongs on their logarithms.",
)
def noise_on_probs(probs, generator=None):
    noise = -torch.log(-torch.log(torch.rand(probs.shape, generator=generator)))
    return (probs + noise).argmax(-1, keepdim=True)


@misconception(
    "gpt.draw",
    "row 0 for all",
    "You draw for all rows with the probabilities of row 0. Each row has its own.",
)
def row_0_for_all(probs, generator=None):
    return torch.multinomial(probs[0], len(probs), replacement=True, generator=generator)[:, None]


@misconception(
    "gpt.draw",
    "a point past the end",
    "Your point lies between 0 and 1, and where it falls past the end of a row you take the "
    "last token. That one is drawn too often: the point lies between 0 and the sum of the row.",
)
def past_the_end(probs, generator=None):
    return between_0_and_1(probs, generator).clamp(max=probs.shape[-1] - 1)


@misconception(
    "gpt.draw",
    "one place too early",
    "Your token is the one before the stretch that was hit. searchsorted in the ends of the "
    "stretches gives the right one as it is.",
)
def place_before_hit(probs, generator=None):
    ends = probs.cumsum(-1)
    points = ends[:, -1:] * torch.rand(len(probs), 1, generator=generator)
    return (torch.searchsorted(ends, points, right=True) - 1).clamp(min=0)


@misconception(
    "gpt.draw",
    "every token alike, possible or not",
    "You draw from all ids without looking at the probabilities.",
)
def any_id(probs, generator=None):
    return torch.randint(probs.shape[-1], (len(probs), 1), generator=generator)


@misconception(
    "gpt.draw",
    "numbers of numpy or random",
    "Your random numbers come from numpy or from Python. PyTorch's generators know nothing of "
    "them, so no seed of theirs brings a poem back.",
)
def numbers_of_numpy(probs, generator=None):
    ends = probs.cumsum(-1)
    points = ends[:, -1:] * torch.as_tensor(np.random.rand(len(probs), 1)).to(probs.dtype)
    return torch.searchsorted(ends, points, right=True)


@misconception(
    "gpt.draw",
    "the probability, not the id",
    "You return the probability of the token that was drawn. Asked for is its id.",
)
def its_probability(probs, generator=None):
    return probs.gather(-1, torch.multinomial(probs, 1, generator=generator))


@misconception(
    "gpt.draw",
    "ids as floats",
    "You return floats. An id is an integer: the embedding takes no others.",
)
def float_ids(probs, generator=None):
    return torch.multinomial(probs, 1, generator=generator).to(probs.dtype)


@misconception(
    "gpt.draw",
    "a list of ids",
    "You return a list. A tensor (B, 1) can be appended to ids (B, T) as it is.",
)
def list_of_ids(probs, generator=None):
    return torch.multinomial(probs, 1, generator=generator).tolist()


# --- pad_left -----------------------------------------------------------------------------------


@misconception(
    "gpt.pad_left",
    "fillers at the end",
    "Your fillers stand behind the prompts. The rows then end in different columns, and the model "
    "would go on writing after a filler.",
)
def pad_right(prompts, device):
    T = max(map(len, prompts))
    rows = [list(prompt) + [0] * (T - len(prompt)) for prompt in prompts]
    return torch.tensor(rows), torch.tensor([T - len(prompt) for prompt in prompts])


@misconception(
    "gpt.pad_left",
    "count the ids, not the fillers",
    "You return how long each prompt is. Asked for is how many fillers stand before it.",
)
def count_ids(prompts, device):
    T = max(map(len, prompts))
    rows = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    return torch.tensor(rows), torch.tensor([len(prompt) for prompt in prompts])


@misconception(
    "gpt.pad_left",
    "every 0 is a filler",
    "You count the zeros. A token may have the id 0, and would be taken for a filler.",
)
def count_zeros(prompts, device):
    T = max(map(len, prompts))
    ids = torch.tensor([[0] * (T - len(prompt)) + list(prompt) for prompt in prompts])
    return ids, (ids == 0).sum(1)


@misconception(
    "gpt.pad_left",
    "cut to the shortest",
    "You cut all prompts to the length of the shortest. What a prompt says must not be lost.",
)
def cut_to_shortest(prompts, device):
    T = min(map(len, prompts))
    rows = [list(prompt)[len(prompt) - T :] for prompt in prompts]
    return torch.tensor(rows), torch.tensor([0] * len(rows))


@misconception(
    "gpt.pad_left",
    "−1 as a filler",
    "Your fillers have the id −1. The embedding has no such row; id 0 is never looked at, but it "
    "exists.",
)
def minus_one(prompts, device):
    T = max(map(len, prompts))
    rows = [[-1] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    return torch.tensor(rows), torch.tensor([T - len(prompt) for prompt in prompts])


@misconception(
    "gpt.pad_left",
    "fillers as a column",
    "You return the number of fillers as (B, 1). One number for each row is (B,).",
)
def as_a_column(prompts, device):
    T = max(map(len, prompts))
    rows = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    return torch.tensor(rows), torch.tensor([[T - len(prompt)] for prompt in prompts])


@misconception(
    "gpt.pad_left",
    "fill the caller's prompts",
    "You put the fillers into the prompts that you were given. The caller still needs them.",
)
def fill_in_place(prompts, device):
    T = max(map(len, prompts))
    fill = [T - len(prompt) for prompt in prompts]
    for n, prompt in zip(fill, prompts, strict=True):
        for _ in range(n):
            prompt.insert(0, 0)
    return torch.tensor(prompts), torch.tensor(fill)


@misconception(
    "gpt.pad_left",
    "zeros at the beginning are fillers",
    "You count the zeros at the beginning of each row. A prompt may begin with the id 0: count "
    "by lengths.",
)
def leading_zeros(prompts, device):
    T = max(map(len, prompts))
    rows = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    ids = torch.tensor(rows)
    return ids, (ids != 0).int().argmax(1)


@misconception(
    "gpt.pad_left",
    "a list of numbers",
    "Your second result is a list. Asked for are two tensors.",
)
def list_of_fillers(prompts, device):
    T = max(map(len, prompts))
    rows = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    return torch.tensor(rows), [T - len(prompt) for prompt in prompts]


@misconception(
    "gpt.pad_left",
    "lists for tensors",
    "You return lists. Asked for are two tensors.",
)
def lists_of_both(prompts, device):
    T = max(map(len, prompts))
    rows = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    return rows, [T - len(prompt) for prompt in prompts]


@misconception(
    "gpt.pad_left",
    "results exchanged",
    "The ids come first, then the numbers of fillers. Yours have changed places.",
)
def exchanged(prompts, device):
    T = max(map(len, prompts))
    rows = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    return torch.tensor([T - len(prompt) for prompt in prompts]), torch.tensor(rows)


@misconception(
    "gpt.pad_left",
    "a mask for the numbers",
    "Your second result is a mask (B, T). Asked for is one number for each row: how many "
    "fillers it has.",
)
def mask_for_numbers(prompts, device):
    T = max(map(len, prompts))
    rows = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    return torch.tensor(rows), torch.arange(T) >= torch.tensor(
        [T - len(prompt) for prompt in prompts]
    )[:, None]


@misconception(
    "gpt.pad_left",
    "ids as floats",
    "torch.zeros makes floats. Ids are integers: say dtype=torch.long.",
)
def float_rows(prompts, device):
    T = max(map(len, prompts))
    rows = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    return torch.tensor(rows).float(), torch.tensor([T - len(prompt) for prompt in prompts])


@misconception(
    "gpt.pad_left",
    "prompts reversed",
    "Your prompts stand backwards. If you turn them round to fill up, turn the rows back.",
)
def reversed_prompts(prompts, device):
    T = max(map(len, prompts))
    rows = [list(prompt)[::-1] + [0] * (T - len(prompt)) for prompt in prompts]
    return torch.tensor(rows), torch.tensor([T - len(prompt) for prompt in prompts])


@misconception(
    "gpt.pad_left",
    "the largest prompt for the longest",
    "max(prompts) compares ids, not lengths. Take the maximum of the lengths.",
)
def largest_prompt(prompts, device):
    T = len(max(prompts))
    rows = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    return torch.tensor(rows), torch.tensor([T - len(prompt) for prompt in prompts])


@misconception(
    "gpt.pad_left",
    "the first prompt for the longest",
    "You fill up to the length of the first prompt. Any of them may be the longest.",
)
def first_for_longest(prompts, device):
    T = len(prompts[0])
    rows = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    return torch.tensor(rows), torch.tensor([T - len(prompt) for prompt in prompts])


@misconception(
    "gpt.pad_left",
    "sorted by length",
    "You sort the prompts. The caller finds each row by its place, so the order stays.",
)
def sorted_prompts(prompts, device):
    prompts = sorted(prompts, key=len)
    T = max(map(len, prompts))
    rows = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
    return torch.tensor(rows), torch.tensor([T - len(prompt) for prompt in prompts])


@misconception(
    "gpt.pad_left",
    "lists only",
    "A list of fillers can be joined with a list only. Prompts may be tuples: list(prompt) "
    "takes any sequence.",
)
def lists_only(prompts, device):
    T = max(map(len, prompts))
    rows = [[0] * (T - len(prompt)) + prompt for prompt in prompts]
    return torch.tensor(rows), torch.tensor([T - len(prompt) for prompt in prompts])


# --- generate -----------------------------------------------------------------------------------


def continue_row(model, row, new, stop):
    """The right way to continue one row; wrong answers change what is around it."""
    row = list(row)
    for _ in range(new):
        if len(row) >= model.config.block_size:
            break
        row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
        if row[-1] == stop:
            break
    return row


def ready(model):
    """Evaluation mode without gradients, then back."""

    class Ready(torch.no_grad):
        def __enter__(self):
            super().__enter__()
            self.mode = model.training
            model.eval()

        def __exit__(self, *error):
            model.train(self.mode)
            super().__exit__(*error)

    return Ready()


@misconception(
    "gpt.generate",
    "stop when row 0 stops",
    "Your loop ends for all rows when the first one meets its stop token. The others break off or, "
    "if they ended before it, go on after their end.",
)
def row_0_stops_all(model, prompts, max_new_tokens, stop_token=None):
    rows = [list(prompt) for prompt in prompts]
    with ready(model):
        for _ in range(max_new_tokens):
            for row in rows:
                if len(row) < model.config.block_size:
                    row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
            if rows[0][-1] == stop_token:
                break
    return rows


@misconception(
    "gpt.generate",
    "the stop token is dropped",
    "You stop before the stop token is added. It belongs to what was written: one must be able to "
    "tell a poem that ended from one that was cut off.",
)
def drop_the_stop(model, prompts, max_new_tokens, stop_token=None):
    rows = []
    with ready(model):
        for prompt in prompts:
            row = list(prompt)
            for _ in range(max_new_tokens):
                if len(row) >= model.config.block_size:
                    break
                token = int(model(torch.tensor([row]))[0, -1].argmax())
                if token == stop_token:
                    break
                row.append(token)
            rows.append(row)
    return rows


@misconception(
    "gpt.generate",
    "the stop token is ignored",
    "Your rows never stop at the stop token. After its end a poem would be followed by another.",
)
def ignore_the_stop(model, prompts, max_new_tokens, stop_token=None):
    with ready(model):
        return [continue_row(model, prompt, max_new_tokens, None) for prompt in prompts]


@misconception(
    "gpt.generate",
    "stop token 0 is taken for none",
    "`if stop_token` is false for 0 as well as for None. 0 is a token: ask `is not None`.",
)
def zero_is_none(model, prompts, max_new_tokens, stop_token=None):
    with ready(model):
        stop = stop_token if stop_token else None
        return [continue_row(model, prompt, max_new_tokens, stop) for prompt in prompts]


@misconception(
    "gpt.generate",
    "a stop token in the prompt stops",
    "A row of yours ends if the stop token is anywhere in it, even in the prompt. Only one that is "
    "written ends it.",
)
def prompt_stops(model, prompts, max_new_tokens, stop_token=None):
    with ready(model):
        return [
            list(prompt)
            if stop_token in list(prompt)
            else continue_row(model, prompt, max_new_tokens, stop_token)
            for prompt in prompts
        ]


@misconception(
    "gpt.generate",
    "look for the stop token in the whole row",
    "After each step you ask whether the stop token is in the row. If the prompt holds one, that "
    "is true after the first step: look at the newest token only.",
)
def in_the_whole_row(model, prompts, max_new_tokens, stop_token=None):
    rows = [list(prompt) for prompt in prompts]
    with ready(model):
        for row in rows:
            for _ in range(max_new_tokens):
                if len(row) >= model.config.block_size:
                    break
                row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
                if stop_token in row:
                    break
    return rows


@misconception(
    "gpt.generate",
    "stays in evaluation mode",
    "You leave the model in evaluation mode. If a sample is written during training, dropout is "
    "off from then on.",
)
def stays_in_eval(model, prompts, max_new_tokens, stop_token=None):
    model.eval()
    with torch.no_grad():
        return [continue_row(model, prompt, max_new_tokens, stop_token) for prompt in prompts]


@misconception(
    "gpt.generate",
    "always back to training mode",
    "You put the model into training mode at the end, whatever it was in before.",
)
def always_train(model, prompts, max_new_tokens, stop_token=None):
    with ready(model):
        rows = [continue_row(model, prompt, max_new_tokens, stop_token) for prompt in prompts]
    model.train()
    return rows


@misconception(
    "gpt.generate",
    "written in training mode",
    "You ask the model in the mode it happens to be in. In training mode dropout disturbs what it "
    "writes.",
)
def in_training_mode(model, prompts, max_new_tokens, stop_token=None):
    with torch.no_grad():
        return [continue_row(model, prompt, max_new_tokens, stop_token) for prompt in prompts]


@misconception(
    "gpt.generate",
    "eval() switches gradients off",
    "eval() changes dropout and nothing else. Without no_grad every step keeps the whole graph of "
    "its computation alive.",
)
def with_gradients(model, prompts, max_new_tokens, stop_token=None):
    with ready(model), torch.enable_grad():
        return [continue_row(model, prompt, max_new_tokens, stop_token) for prompt in prompts]


@misconception(
    "gpt.generate",
    "gradients off for good",
    "You switch gradients off and never on again: the rest of the program cannot learn any more.",
)
def off_for_good(model, prompts, max_new_tokens, stop_token=None):
    with ready(model):
        rows = [continue_row(model, prompt, max_new_tokens, stop_token) for prompt in prompts]
    torch.set_grad_enabled(False)
    return rows


@misconception(
    "gpt.generate",
    "without the prompts",
    "You return only what is new. A row is its prompt and what was written.",
)
def without_prompts(model, prompts, max_new_tokens, stop_token=None):
    with ready(model):
        return [
            continue_row(model, prompt, max_new_tokens, stop_token)[len(prompt) :]
            for prompt in prompts
        ]


@misconception(
    "gpt.generate",
    "the limit counts the prompt",
    "Your rows end when they hold max_new_tokens in all. The limit is for new ones: the prompt "
    "does not count.",
)
def limit_counts_prompt(model, prompts, max_new_tokens, stop_token=None):
    with ready(model):
        return [
            continue_row(model, prompt, max_new_tokens - len(prompt), stop_token)
            for prompt in prompts
        ]


@misconception(
    "gpt.generate",
    "no end of the block",
    "You never look at block_size. A model refuses a row that is longer.",
)
def no_end_of_block(model, prompts, max_new_tokens, stop_token=None):
    rows = [list(prompt) for prompt in prompts]
    with ready(model):
        for row in rows:
            for _ in range(max_new_tokens):
                row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
                if row[-1] == stop_token:
                    break
    return rows


@misconception(
    "gpt.generate",
    "one token past the block",
    "Your rows may hold block_size + 1 tokens. The model could still write the last one, but it "
    "would never be able to read it.",
)
def past_the_block(model, prompts, max_new_tokens, stop_token=None):
    rows = [list(prompt) for prompt in prompts]
    with ready(model):
        for row in rows:
            for _ in range(max_new_tokens):
                if len(row) > model.config.block_size:
                    break
                row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
                if row[-1] == stop_token:
                    break
    return rows


@misconception(
    "gpt.generate",
    "a window that slides",
    "At the end of the block you drop the oldest tokens and write on. Here a row ends when it is "
    "full.",
)
def sliding_window(model, prompts, max_new_tokens, stop_token=None):
    rows = [list(prompt) for prompt in prompts]
    with ready(model):
        for row in rows:
            for _ in range(max_new_tokens):
                seen = torch.tensor([row[-model.config.block_size :]])
                row.append(int(model(seen)[0, -1].argmax()))
                if row[-1] == stop_token:
                    break
    return rows


@misconception(
    "gpt.generate",
    "read the last token only",
    "At each step you show the model the newest token alone. Without a cache it has forgotten all "
    "that came before.",
)
def last_token_only(model, prompts, max_new_tokens, stop_token=None):
    rows = [list(prompt) for prompt in prompts]
    with ready(model):
        for row in rows:
            for _ in range(max_new_tokens):
                if len(row) >= model.config.block_size:
                    break
                row.append(int(model(torch.tensor([row[-1:]]))[0, -1].argmax()))
                if row[-1] == stop_token:
                    break
    return rows


@misconception(
    "gpt.generate",
    "fillers without a mask",
    "You fill the rows up to one length and let the model read the fillers as if they were text. "
    "This model knows no mask: give it each row by itself.",
)
def fillers_read(model, prompts, max_new_tokens, stop_token=None):
    T = max(map(len, prompts))
    with ready(model):
        padded = [[0] * (T - len(prompt)) + list(prompt) for prompt in prompts]
        rows = [continue_row(model, row, max_new_tokens, stop_token) for row in padded]
    return [row[T - len(prompt) :] for row, prompt in zip(rows, prompts, strict=True)]


@misconception(
    "gpt.generate",
    "write into the caller's prompts",
    "You append to the lists that you were given. Begin with copies of them.",
)
def into_the_prompts(model, prompts, max_new_tokens, stop_token=None):
    with ready(model):
        for prompt in prompts:
            prompt.extend(continue_row(model, prompt, max_new_tokens, stop_token)[len(prompt) :])
    return prompts


@misconception(
    "gpt.generate",
    "block one token short",
    "Your rows end at block_size − 1 tokens. The last place may be filled.",
)
def one_short_of_block(model, prompts, max_new_tokens, stop_token=None):
    rows = [list(prompt) for prompt in prompts]
    with ready(model):
        for row in rows:
            for _ in range(max_new_tokens):
                if len(row) >= model.config.block_size - 1:
                    break
                row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
                if row[-1] == stop_token:
                    break
    return rows


@misconception(
    "gpt.generate",
    "a full prompt gets one more",
    "You ask for room after you have written. A prompt may fill the block already: ask before.",
)
def full_gets_more(model, prompts, max_new_tokens, stop_token=None):
    rows = [list(prompt) for prompt in prompts]
    with ready(model):
        for row in rows:
            for _ in range(max_new_tokens):
                row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
                if row[-1] == stop_token or len(row) >= model.config.block_size:
                    break
    return rows


@misconception(
    "gpt.generate",
    "tensors for ids",
    "Your rows hold tensors of one number. .item() or int() makes an id of it, which compares "
    "and saves like one.",
)
def tensor_ids(model, prompts, max_new_tokens, stop_token=None):
    rows = [list(prompt) for prompt in prompts]
    with ready(model):
        for row in rows:
            for _ in range(max_new_tokens):
                if len(row) >= model.config.block_size:
                    break
                row.append(model(torch.tensor([row]))[0, -1].argmax())
                if row[-1] == stop_token:
                    break
    return rows


@misconception(
    "gpt.generate",
    "the first logits",
    "You take the logits of the first place. What comes next stands in the last.",
)
def first_logits(model, prompts, max_new_tokens, stop_token=None):
    rows = [list(prompt) for prompt in prompts]
    with ready(model):
        for row in rows:
            for _ in range(max_new_tokens):
                if len(row) >= model.config.block_size:
                    break
                row.append(int(model(torch.tensor([row]))[0, 0].argmax()))
                if row[-1] == stop_token:
                    break
    return rows


@misconception(
    "gpt.generate",
    "one token too many",
    "You write max_new_tokens + 1 tokens. range(n) has n steps already.",
)
def one_too_many_written(model, prompts, max_new_tokens, stop_token=None):
    with ready(model):
        return [continue_row(model, prompt, max_new_tokens + 1, stop_token) for prompt in prompts]


@misconception(
    "gpt.generate",
    "one token too few",
    "You write max_new_tokens − 1 tokens. range(n) has n steps already.",
)
def one_too_few(model, prompts, max_new_tokens, stop_token=None):
    with ready(model):
        return [continue_row(model, prompt, max_new_tokens - 1, stop_token) for prompt in prompts]


@misconception(
    "gpt.generate",
    "return at the first stop token",
    "You return as soon as one row has ended. The other prompts are not continued.",
)
def return_at_stop(model, prompts, max_new_tokens, stop_token=None):
    rows = []
    with ready(model):
        for prompt in prompts:
            rows.append(continue_row(model, prompt, max_new_tokens, stop_token))
            if stop_token in rows[-1][len(prompt) :]:
                break
    return rows


@misconception(
    "gpt.generate",
    "fillers behind the prompts",
    "You fill the rows up behind the prompts, and the model goes on after the fillers. Give it "
    "each row by itself.",
)
def fillers_behind(model, prompts, max_new_tokens, stop_token=None):
    T = max(map(len, prompts))
    with ready(model):
        padded = [list(prompt) + [0] * (T - len(prompt)) for prompt in prompts]
        rows = [continue_row(model, row, max_new_tokens, stop_token) for row in padded]
    return [list(prompt) + row[T:] for row, prompt in zip(rows, prompts, strict=True)]


@misconception(
    "gpt.generate",
    "gradients on for all",
    "You switch gradients on at the end, even if the caller had switched them off. `with "
    "torch.no_grad():` puts back what there was.",
)
def on_for_all(model, prompts, max_new_tokens, stop_token=None):
    with ready(model):
        rows = [continue_row(model, prompt, max_new_tokens, stop_token) for prompt in prompts]
    torch.set_grad_enabled(True)
    return rows


# --- write_together -----------------------------------------------------------------------------


@misconception(
    "gpt.write_together",
    "row 0 decides for all",
    "The loop looks at row 0 alone. When that row ends, all others break off; and a row that ended "
    "before it goes on.",
    stub=True,
)
def row_0_decides_for_all(model, idx, max_new_tokens, stop_token):
    for _ in range(max_new_tokens):
        logits = model(idx)[:, -1]  # (B, V)
        token = logits.argmax(dim=-1, keepdim=True)  # (B, 1)
        idx = torch.cat((idx, token), dim=1)
        if token[0].item() == stop_token:
            break
    return idx.tolist()


@misconception(
    "gpt.write_together",
    "any row stops all",
    "You stop as soon as any row has met its stop token. The other rows are cut off in the middle.",
)
def any_row_stops(model, idx, max_new_tokens, stop_token):
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        if (token == stop_token).any():
            break
    return idx.tolist()


@misconception(
    "gpt.write_together",
    "all rows in the same step",
    "You wait until all rows write the stop token in the same step. They end at different times, "
    "and go on after it.",
)
def all_in_one_step(model, idx, max_new_tokens, stop_token):
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        if (token == stop_token).all():
            break
    return idx.tolist()


@misconception(
    "gpt.write_together",
    "rows go on after their end",
    "You know when all rows have ended, but you return the whole rectangle. What a row got after "
    "its stop token is no part of it.",
)
def not_cut(model, idx, max_new_tokens, stop_token):
    ended = torch.zeros(len(idx), dtype=torch.bool)
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        ended |= token[:, 0] == stop_token
        if ended.all():
            break
    return idx.tolist()


@misconception(
    "gpt.write_together",
    "fill up with stop tokens",
    "A row that has ended gets the stop token again and again. It ends with the first one.",
)
def fill_with_stops(model, idx, max_new_tokens, stop_token):
    ended = torch.zeros(len(idx), dtype=torch.bool)
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        token[ended] = stop_token
        idx = torch.cat((idx, token), dim=1)
        ended |= token[:, 0] == stop_token
        if ended.all():
            break
    return idx.tolist()


def cut_after(row, start, stop):
    """The row up to its first stop token at or after `start`, which is kept."""
    return row[: row.index(stop, start) + 1] if stop in row[start:] else row


@misconception(
    "gpt.write_together",
    "cut at a stop token in the prompt",
    "You cut each row at its first stop token, and that may stand in the prompt. Look only at what "
    "was written.",
)
def cut_in_prompt(model, idx, max_new_tokens, stop_token):
    T = idx.shape[1]
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        if (idx[:, T:] == stop_token).any(1).all():
            break
    return [cut_after(row, 0, stop_token) for row in idx.tolist()]


@misconception(
    "gpt.write_together",
    "the stop token is cut off",
    "You cut before the stop token. It belongs to what was written.",
)
def stop_cut_off(model, idx, max_new_tokens, stop_token):
    T = idx.shape[1]
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        if (idx[:, T:] == stop_token).any(1).all():
            break
    rows = [cut_after(row, T, stop_token) for row in idx.tolist()]
    return [row[:-1] if stop_token in row[T:] else row for row in rows]


@misconception(
    "gpt.write_together",
    "go on when all have ended",
    "Your rows are right, but the model is asked to the last step, even when nobody is writing any "
    "more. Each call costs as much as the others.",
)
def never_early(model, idx, max_new_tokens, stop_token):
    T = idx.shape[1]
    for _ in range(max_new_tokens):
        idx = torch.cat((idx, model(idx)[:, -1].argmax(-1, keepdim=True)), dim=1)
    return [cut_after(row, T, stop_token) for row in idx.tolist()]


@misconception(
    "gpt.write_together",
    "every row by itself",
    "Your rows are right, but you ask for each of them alone. A batch of a hundred rows then costs "
    "a hundred calls a step instead of one.",
)
def by_itself(model, idx, max_new_tokens, stop_token):
    rows = idx.tolist()
    for row in rows:
        for _ in range(max_new_tokens):
            row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
            if row[-1] == stop_token:
                break
    return rows


@misconception(
    "gpt.write_together",
    "an ended row wakes up",
    "You ask at each step whether the newest token is the stop token. A row that has ended "
    "writes something else then, and is taken for a writing one again: once ended, it stays so.",
)
def wakes_up(model, idx, max_new_tokens, stop_token):
    rows, writing = idx.tolist(), [True] * len(idx)
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        for i, new in enumerate(token[:, 0].tolist()):
            if writing[i]:
                rows[i].append(new)
            writing[i] = new != stop_token
        if not any(writing):
            break
    return rows


@misconception(
    "gpt.write_together",
    "one call too many",
    "You ask the model once more before you see that all rows have ended. Look before the call, "
    "or right after the last token.",
)
def one_call_too_many(model, idx, max_new_tokens, stop_token):
    rows, writing = idx.tolist(), [True] * len(idx)
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        if not any(writing):
            break
        idx = torch.cat((idx, token), dim=1)
        for i, new in enumerate(token[:, 0].tolist()):
            if writing[i]:
                rows[i].append(new)
                writing[i] = new != stop_token
    return rows


@misconception(
    "gpt.write_together",
    "a stop token in the prompt ends a row",
    "A row whose prompt holds the stop token never writes. Only one that is written ends it.",
)
def prompt_ends(model, idx, max_new_tokens, stop_token):
    rows = idx.tolist()
    writing = [stop_token not in row for row in rows]
    for _ in range(max_new_tokens):
        if not any(writing):
            break
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        for i, new in enumerate(token[:, 0].tolist()):
            if writing[i]:
                rows[i].append(new)
                writing[i] = new != stop_token
    return rows


@misconception(
    "gpt.write_together",
    "the loop sees stop tokens of prompts",
    "You look for stop tokens in the whole rows, prompts included, and break off too early. "
    "Look at what was written.",
)
def break_by_prompts(model, idx, max_new_tokens, stop_token):
    T = idx.shape[1]
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        if (idx == stop_token).any(1).all():
            break
    return [cut_after(row, T, stop_token) for row in idx.tolist()]


@misconception(
    "gpt.write_together",
    "whole rectangle, and prompts count",
    "You wait until each row has a stop token somewhere, its prompt included, and return the "
    "whole rectangle. A row ends with its own first one that was written.",
)
def whole_rectangle(model, idx, max_new_tokens, stop_token):
    rows = idx
    for _ in range(max_new_tokens):
        token = model(rows)[:, -1].argmax(-1, keepdim=True)
        rows = torch.cat((rows, token), dim=1)
        if (rows == stop_token).any(1).all():
            break
    return rows.tolist()


@misconception(
    "gpt.write_together",
    "rows in the order of their ends",
    "Rows that end are taken out of the batch, and yours come back in that order. Each row "
    "keeps its place.",
)
def order_of_ends(model, idx, max_new_tokens, stop_token):
    done = []
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        ended = token[:, 0] == stop_token
        done += idx[ended].tolist()
        idx = idx[~ended]
        if len(idx) == 0:
            break
    return done + idx.tolist()


@misconception(
    "gpt.write_together",
    "fill up with zeros",
    "A row that has ended gets zeros to its end. They are no part of it: it ends with its stop "
    "token.",
)
def fill_with_zeros(model, idx, max_new_tokens, stop_token):
    ended = torch.zeros(len(idx), dtype=torch.bool)
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        token[ended] = 0
        idx = torch.cat((idx, token), dim=1)
        ended |= token[:, 0] == stop_token
        if ended.all():
            break
    return idx.tolist()


@misconception(
    "gpt.write_together",
    "without the prompts",
    "You return only what is new. A row is its prompt and what was written.",
)
def only_new(model, idx, max_new_tokens, stop_token):
    rows, writing = [[] for _ in idx], [True] * len(idx)
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        for i, new in enumerate(token[:, 0].tolist()):
            if writing[i]:
                rows[i].append(new)
                writing[i] = new != stop_token
        if not any(writing):
            break
    return rows


@misconception(
    "gpt.write_together",
    "the last row decides for all",
    "The loop looks at the last row alone. When that row ends, all others break off.",
)
def last_row_decides(model, idx, max_new_tokens, stop_token):
    rows = idx
    for _ in range(max_new_tokens):
        token = model(rows)[:, -1].argmax(-1, keepdim=True)
        rows = torch.cat((rows, token), dim=1)
        if token[-1].item() == stop_token:
            break
    return rows.tolist()


@misconception(
    "gpt.write_together",
    "cut at the last stop token",
    "You cut each row at its last stop token. It ends with the first one that was written.",
)
def cut_at_last(model, idx, max_new_tokens, stop_token):
    T = idx.shape[1]
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        if (idx[:, T:] == stop_token).any(1).all():
            break
    rows = idx.tolist()
    ends = [len(r) - r[::-1].index(stop_token) if stop_token in r[T:] else len(r) for r in rows]
    return [row[:end] for row, end in zip(rows, ends, strict=True)]


@misconception(
    "gpt.write_together",
    "tensors for ids",
    "Your rows hold tensors of one number. .item() or .tolist() makes ids of them.",
)
def tensors_written(model, idx, max_new_tokens, stop_token):
    rows, writing = idx.tolist(), [True] * len(idx)
    for _ in range(max_new_tokens):
        token = model(idx)[:, -1].argmax(-1, keepdim=True)
        idx = torch.cat((idx, token), dim=1)
        for i, new in enumerate(token[:, 0]):
            if writing[i]:
                rows[i].append(new)
                writing[i] = new.item() != stop_token
        if not any(writing):
            break
    return rows


# --- sees_the_future ----------------------------------------------------------------------------


def moved(model, ids, t, token):
    """How far each logit moves, (T, V), if place t gets another token."""
    other = ids.clone()
    other[0, t] = token
    return (model(other) - model(ids))[0].abs()


def every_change(vocab_size, places=range(1, 8)):
    return [(t, token) for t in places for token in range(vocab_size)]


@misconception(
    "gpt.sees_the_future",
    "any change is a leak",
    "You call it a leak if any logit moves. Those from t on should move. Or do your changes pile "
    "up? Each must begin with a copy of the same ids.",
)
def any_change(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    return any(bool(moved(model, ids, t, v).max() > 1e-6) for t, v in every_change(vocab_size))


@misconception(
    "gpt.sees_the_future",
    "count the logits at t as well",
    "You look at the logits up to t, t included. They may depend on token t: it has been read when "
    "they are made.",
)
def own_place(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    changes = every_change(vocab_size)
    return any(bool(moved(model, ids, t, v)[: t + 1].max() > 1e-6) for t, v in changes)


@misconception(
    "gpt.sees_the_future",
    "one place short",
    "You leave out the logits at t − 1. They are asked for token t itself: a mask that is shifted "
    "by one shows exactly there.",
)
def one_short(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    changes = every_change(vocab_size, range(2, 8))
    return any(bool(moved(model, ids, t, v)[: t - 1].max() > 1e-6) for t, v in changes)


@misconception(
    "gpt.sees_the_future",
    "the place before only",
    "You look at the logits at t − 1 alone. A leak may reach back further.",
)
def place_before(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    return any(
        bool(moved(model, ids, t, v)[t - 1].max() > 1e-6) for t, v in every_change(vocab_size)
    )


@misconception(
    "gpt.sees_the_future",
    "change the last token only",
    "You change the last token alone. A leak may come from any place.",
)
def last_only(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    return any(bool(moved(model, ids, 7, v)[:7].max() > 1e-6) for v in range(vocab_size))


@misconception(
    "gpt.sees_the_future",
    "change the token in the middle",
    "You change one place in the middle. A leak may come from any place.",
)
def middle_only(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    return any(bool(moved(model, ids, 4, v)[:4].max() > 1e-6) for v in range(vocab_size))


@misconception(
    "gpt.sees_the_future",
    "a text of two tokens",
    "You ask with texts of two tokens. A leak may start or arrive further behind: take 8 or more.",
)
def two_tokens(model, vocab_size):
    ids = torch.zeros(1, 2, dtype=torch.long)
    return any(bool(moved(model, ids, 1, v)[0].max() > 1e-6) for v in range(vocab_size))


@misconception(
    "gpt.sees_the_future",
    "one other token for each place",
    "You try one other token at each place. A leak may show only if one certain token stands "
    "there: try them all.",
)
def one_token(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    return any(bool(moved(model, ids, t, 1)[:t].max() > 1e-6) for t in range(1, 8))


@misconception(
    "gpt.sees_the_future",
    "rounding is a leak",
    "You call it a leak if a logit moves at all, or by less than 1e-6. Sums in another order round "
    "in another way; that is no leak.",
)
def rounding(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    return any(bool(moved(model, ids, t, v)[:t].any()) for t, v in every_change(vocab_size))


@misconception(
    "gpt.sees_the_future",
    "the likeliest token only",
    "You ask whether the likeliest token changes. A leak moves logits long before it changes the "
    "winner, and training uses all of them.",
)
def winner_only(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    for t, v in every_change(vocab_size):
        other = ids.clone()
        other[0, t] = v
        if (model(other).argmax(-1) != model(ids).argmax(-1))[0, :t].any():
            return True
    return False


@misconception(
    "gpt.sees_the_future",
    "the other way round",
    "You return True for a model that is in order. The question is whether it sees the future.",
)
def other_way_round(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    return all(bool(moved(model, ids, t, v)[:t].max() < 1e-6) for t, v in every_change(vocab_size))


@misconception(
    "gpt.sees_the_future",
    "nothing ever moves",
    "Your test finds no leak in any model. Does it compare two different inputs? If you change the "
    "ids in place, without a copy, both answers come from the same ids.",
)
def same_ids(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    for t, v in every_change(vocab_size):
        other = ids
        other[0, t] = v
        if (model(other) - model(ids))[0, :t].abs().max() > 1e-6:
            return True
    return False


@misconception(
    "gpt.sees_the_future",
    "too tolerant",
    "You let differences of 0.01 pass. A leak can be small; rounding is smaller by far.",
)
def too_tolerant(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    return any(bool(moved(model, ids, t, v)[:t].max() > 0.01) for t, v in every_change(vocab_size))


@misconception(
    "gpt.sees_the_future",
    "without the absolute value",
    "You look for the largest difference with its sign. A logit that falls has moved, too: take "
    "the absolute value first.",
)
def without_abs(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    for t, v in every_change(vocab_size):
        other = ids.clone()
        other[0, t] = v
        if (model(other) - model(ids))[0, :t].max() > 1e-6:
            return True
    return False


@misconception(
    "gpt.sees_the_future",
    "the sum of the differences",
    "You add up the differences with their signs. If one logit gains what another loses, the sum "
    "is 0: take absolute values first.",
)
def signed_sum(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    for t, v in every_change(vocab_size):
        other = ids.clone()
        other[0, t] = v
        if (model(other) - model(ids))[0, :t].sum().abs() > 1e-6:
            return True
    return False


@misconception(
    "gpt.sees_the_future",
    "always a leak",
    "You say True of every model, of one that is right as well.",
)
def always_leaks(model, vocab_size):
    return True


@misconception(
    "gpt.sees_the_future",
    "a text that is too short",
    "Your text has fewer than 8 tokens. A leak may start at the eighth: take all of the first 8 "
    "places.",
)
def short_text(model, vocab_size):
    ids = torch.zeros(1, 4, dtype=torch.long)
    changes = every_change(vocab_size, range(1, 4))
    return any(bool(moved(model, ids, t, v)[:t].max() > 1e-6) for t, v in changes)


@misconception(
    "gpt.sees_the_future",
    "the eighth place is left out",
    "You change the first seven places. A leak may come from the eighth as well.",
)
def seven_places(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    changes = every_change(vocab_size, range(1, 7))
    return any(bool(moved(model, ids, t, v)[:t].max() > 1e-6) for t, v in changes)


@misconception(
    "gpt.sees_the_future",
    "the last token of the vocabulary is left out",
    "Your tokens end one too early. They go from 0 to vocab_size − 1, and range(vocab_size) "
    "gives them all.",
)
def one_token_less(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    changes = every_change(vocab_size - 1)
    return any(bool(moved(model, ids, t, v)[:t].max() > 1e-6) for t, v in changes)


@misconception(
    "gpt.sees_the_future",
    "the first logits only",
    "You look at the logits of the first place alone. A leak may reach any of those before t.",
)
def first_place(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    return any(bool(moved(model, ids, t, v)[0].max() > 1e-6) for t, v in every_change(vocab_size))


@misconception(
    "gpt.sees_the_future",
    "beginnings of one text",
    "You compare a text with its own beginnings. A leak may show only if one certain token "
    "stands somewhere: try every token at every place.",
)
def beginnings(model, vocab_size):
    ids = torch.zeros(1, 8, dtype=torch.long)
    whole = model(ids)
    return any(bool((model(ids[:, :t]) - whole[:, :t]).abs().max() > 1e-6) for t in range(1, 8))


# --- parameter_budget ---------------------------------------------------------------------------

RIGHT = {
    "embedding": 192_000,
    "positions": 6_144,
    "attention": 221_760,
    "mlp": 445_248,
    "norms": 2_496,
    "head": 194_000,
    "more_heads": 0,
    "modern": 1_049_552,
}


@misconception(
    "gpt.parameter_budget",
    "a bias for qkv",
    "You give qkv a bias. In this model it has none; only proj has.",
)
def qkv_bias():
    return RIGHT | {"attention": 6 * (4 * 96 * 96 + 4 * 96)}


@misconception(
    "gpt.parameter_budget",
    "attention without proj",
    "You count qkv alone. After the heads, proj mixes what they found: another C × C and a bias.",
)
def no_proj():
    return RIGHT | {"attention": 6 * 3 * 96 * 96}


@misconception(
    "gpt.parameter_budget",
    "no biases in the MLP",
    "You leave out the biases of the MLP: 4C for fc and C for proj, in each layer.",
)
def mlp_without_biases():
    return RIGHT | {"mlp": 6 * 8 * 96 * 96}


@misconception(
    "gpt.parameter_budget",
    "one layer only",
    "You count one block. The model has six.",
)
def one_layer():
    return RIGHT | {
        "attention": 221_760 // 6,
        "mlp": 445_248 // 6,
        "norms": 3 * 2 * 96,
        "modern": 192_000 + 12 * 96 * 96 + 194_000,
    }


@misconception(
    "gpt.parameter_budget",
    "the last norm is missing",
    "You count two norms in each block. There is one more, before the head.",
)
def no_last_norm():
    return RIGHT | {"norms": 12 * 2 * 96}


@misconception(
    "gpt.parameter_budget",
    "norms without a shift",
    "You count C numbers for each norm. LayerNorm has a scale and a shift: 2C.",
)
def norms_without_shift():
    return RIGHT | {"norms": 13 * 96}


@misconception(
    "gpt.parameter_budget",
    "a head without a bias",
    "You leave out the bias of the head: one number for each token. It is there in both styles.",
)
def head_without_bias():
    return RIGHT | {"head": 192_000, "modern": 1_049_552 - 2_000}


@misconception(
    "gpt.parameter_budget",
    "every head costs its own",
    "You count a whole C × 3C for each head. The heads share it: with more of them, each is "
    "narrower, and the number of parameters stays the same.",
)
def heads_cost():
    qkv = 6 * 3 * 96 * 96
    return RIGHT | {"attention": 4 * qkv + 6 * (96 * 96 + 96), "more_heads": 4 * qkv}


@misconception(
    "gpt.parameter_budget",
    "the modern style is only without wpe",
    "You take away the position table alone. The modern style has no norm weights either, and no "
    "biases but the head's.",
)
def only_without_wpe():
    return RIGHT | {"modern": sum(RIGHT.values()) - RIGHT["modern"] - RIGHT["positions"]}


# Wrong counts of one part: name, part, count, explanation.
ONE_PART = [
    (
        "no biases in attention",
        "attention",
        6 * 4 * 96 * 96,
        "You leave out the bias of proj: C numbers in each layer.",
    ),
    (
        "attention of one layer",
        "attention",
        4 * 96 * 96 + 96,
        "You count the attention of one block. The model has six.",
    ),
    (
        "the MLP of one layer",
        "mlp",
        8 * 96 * 96 + 5 * 96,
        "You count the MLP of one block. The model has six.",
    ),
    (
        "one matrix in the MLP",
        "mlp",
        6 * (4 * 96 * 96 + 4 * 96),
        "You count fc alone. proj brings 4C numbers back to C: as many again.",
    ),
    (
        "one bias in the MLP",
        "mlp",
        6 * (8 * 96 * 96 + 4 * 96),
        "You count the bias of fc alone. proj has one as well: C numbers in each layer.",
    ),
    (
        "one norm in each block",
        "norms",
        7 * 2 * 96,
        "You count one norm in each block. There are two: attention and MLP have one each.",
    ),
    (
        "the norms of one block",
        "norms",
        3 * 2 * 96,
        "You count the norms of one block and the last one. The model has six blocks.",
    ),
    (
        "a head that shares its matrix",
        "head",
        2_000,
        "You count the bias of the head alone, as if its matrix were the embedding's. No matrix "
        "is shared here.",
    ),
    (
        "a head that costs nothing",
        "head",
        0,
        "You take the head's matrix for the embedding's. No matrix is shared here, and the head "
        "has a bias.",
    ),
    (
        "positions in the embedding",
        "embedding",
        192_000 + 6_144,
        "You count the position table with the embedding. It has a key of its own.",
    ),
    (
        "twice the heads, twice the attention",
        "more_heads",
        221_760,
        "You count attention twice with twice the heads. They share the C numbers out among "
        "themselves, so no matrix grows.",
    ),
    (
        "twice the heads, twice qkv",
        "more_heads",
        6 * 3 * 96 * 96,
        "You let qkv grow with the heads. They share the C numbers out among themselves: with "
        "more of them, each is narrower.",
    ),
    (
        "the whole model with more heads",
        "more_heads",
        1_061_648,
        "You give the parameters of the whole model. Asked for is how many more it has.",
    ),
    (
        "both styles alike",
        "modern",
        1_061_648,
        "You count as many as in the style of GPT-2. The modern style has no position table, no "
        "norm weights, and no biases but the head's.",
    ),
    (
        "positions in each layer",
        "positions",
        6 * 6_144,
        "You count the position table once for each layer. It is added once, before the first.",
    ),
    (
        "one norm in each block, and no last one",
        "norms",
        6 * 2 * 96,
        "You count one norm in each block. There are two, and one more before the head.",
    ),
    (
        "only the norms are gone",
        "modern",
        1_061_648 - 2_496,
        "You take away the norm weights alone. The position table goes, too, and all biases but "
        "the head's.",
    ),
    (
        "positions in the modern style",
        "modern",
        1_049_552 + 6_144,
        "You count a position table. The modern style turns queries and keys instead, which "
        "takes no parameters.",
    ),
    (
        "RMSNorm with a scale",
        "modern",
        1_049_552 + 13 * 96,
        "You count a scale for each norm. Here the norms of the modern style learn nothing.",
    ),
    (
        "LayerNorm in the modern style",
        "modern",
        1_049_552 + 13 * 2 * 96,
        "You count a scale and a shift for each norm. The norms of the modern style learn nothing.",
    ),
    (
        "biases in the modern style",
        "modern",
        1_049_552 + 6 * (96 + 5 * 96),
        "You keep the biases of the blocks. The modern style has no bias but the head's.",
    ),
    (
        "a bias for proj in the modern style",
        "modern",
        1_049_552 + 6 * 96,
        "You keep the bias of attention's proj. The modern style has no bias but the head's.",
    ),
    (
        "a modern model without its head",
        "modern",
        1_049_552 - 194_000,
        "You leave out the head. The modern style has one, with a bias.",
    ),
    (
        "the difference to the modern style",
        "modern",
        1_049_552 - 1_061_648,
        'You give a difference. "modern" asks for the whole model; only "more_heads" asks for a '
        "difference.",
    ),
]
for _name, _part, _count, _explanation in ONE_PART:
    misconception("gpt.parameter_budget", _name, _explanation)(
        lambda part=_part, count=_count: RIGHT | {part: count}
    )


@misconception(
    "gpt.parameter_budget",
    "the model of the chapter",
    "You count the big model of the chapter. Here V is 2,000, the block 64, L 6 and C 96.",
)
def model_of_the_chapter():
    return RIGHT | {
        "embedding": 11_868 * 256,
        "positions": 256 * 256,
        "attention": 8 * (4 * 256 * 256 + 256),
        "mlp": 8 * (8 * 256 * 256 + 5 * 256),
        "norms": 17 * 2 * 256,
        "head": 11_868 * 257,
        "modern": 11_868 * 513 + 8 * 12 * 256 * 256,
    }
