"""Wrong answers to the tasks of chapter 03."""

import torch
import torch.nn.functional as F
from torch import nn

from nanopoet.trial import misconception
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
    "You call it a leak if any logit moves. Those from t on should move; a model that never moves "
    "reads nothing.",
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
    "You ask whether the logits are exactly equal. Sums in another order round in another way; "
    "only what is larger than rounding is a leak.",
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
