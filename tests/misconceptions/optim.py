"""Wrong answers to the tasks on optimizers, chapter 06."""

from itertools import takewhile

import torch
from torch import nn

from nanopoet.checker.trial import misconception

NS = (3.4445, -4.7750, 2.0315)


def two_groups(model, lr, weight_decay, decays):
    """Groups by a question about the name and the parameter."""
    named = list(model.named_parameters())
    return [
        {
            "params": [p for name, p in named if decays(name, p)],
            "lr": lr,
            "weight_decay": weight_decay,
        },
        {
            "params": [p for name, p in named if not decays(name, p)],
            "lr": lr,
            "weight_decay": 0.0,
        },
    ]


def is_matrix(name, p):
    return p.dim() >= 2 and name[:3] not in ("wte", "wpe")


# --- parameter_groups -------------------------------------------------------------------------


@misconception(
    "optim.parameter_groups",
    "decay on everything",
    "Every weight decays. Biases and norms have no reason to be near 0, and a rare character fades "
    "in every batch in which it does not occur.",
)
def decay_everything(model, lr, weight_decay):
    return [{"params": list(model.parameters()), "lr": lr, "weight_decay": weight_decay}]


@misconception(
    "optim.parameter_groups",
    "embeddings taken for matrices",
    "You ask for the number of dimensions only. An embedding has two as well, but it is a table: "
    "the rows of characters that do not occur fade away.",
)
def embeddings_decay(model, lr, weight_decay):
    return two_groups(model, lr, weight_decay, lambda name, p: p.dim() >= 2)


@misconception(
    "optim.parameter_groups",
    "everything called weight",
    "You let all parameters called weight decay. The weights of norms are called that, too: they "
    "begin at 1, and decay pulls them to 0.",
)
def called_weight(model, lr, weight_decay):
    def decays(name, p):
        return name.endswith("weight") and name[:3] not in ("wte", "wpe")

    return two_groups(model, lr, weight_decay, decays)


@misconception(
    "optim.parameter_groups",
    "decay in the blocks only",
    "The matrix of the head does not decay in your groups. It is a matrix that maps vectors to "
    "vectors, as those of the blocks.",
)
def blocks_only(model, lr, weight_decay):
    return two_groups(
        model, lr, weight_decay, lambda name, p: p.dim() >= 2 and name.startswith("blocks")
    )


@misconception(
    "optim.parameter_groups",
    "positions forgotten",
    "You leave out `wte` but not `wpe`. Both are embeddings: the last positions are as rare as "
    "rare characters.",
)
def wpe_decays(model, lr, weight_decay):
    return two_groups(model, lr, weight_decay, lambda name, p: p.dim() >= 2 and "wte" not in name)


@misconception(
    "optim.parameter_groups",
    "weights in no group",
    "You leave out what does not decay. The optimizer moves only what is in a group, so these "
    "weights stay as they began.",
)
def left_out(model, lr, weight_decay):
    return two_groups(model, lr, weight_decay, is_matrix)[:1]


@misconception(
    "optim.parameter_groups",
    "no decay of its own",
    'The group without decay has no key "weight_decay". AdamW then takes its own default, which '
    "is not 0 but 0.01.",
)
def default_decay(model, lr, weight_decay):
    first, second = two_groups(model, lr, weight_decay, is_matrix)
    del second["weight_decay"]
    return [first, second]


@misconception(
    "optim.parameter_groups",
    "no rate in the groups",
    'Your groups have no "lr". AdamW then takes its own default, 0.001, whatever you asked for.',
)
def no_rate(model, lr, weight_decay):
    groups = two_groups(model, lr, weight_decay, is_matrix)
    return [{key: group[key] for key in ("params", "weight_decay")} for group in groups]


@misconception(
    "optim.parameter_groups",
    "a weight in two groups",
    "Some weights are in two of your groups. AdamW refuses that; it would move them twice.",
)
def in_two_groups(model, lr, weight_decay):
    first, second = two_groups(model, lr, weight_decay, is_matrix)
    return [first, {**second, "params": [*second["params"], model.head.weight]}]


@misconception(
    "optim.parameter_groups",
    "decay the wrong way round",
    "Embeddings, biases and norms decay in your groups, and the matrices do not. It is the other "
    "way round.",
)
def wrong_way_round(model, lr, weight_decay):
    return two_groups(model, lr, weight_decay, lambda name, p: not is_matrix(name, p))


@misconception(
    "optim.parameter_groups",
    "no decay anywhere",
    "Nothing decays in your groups. The matrices of the blocks and of the head do.",
)
def no_decay(model, lr, weight_decay):
    return two_groups(model, lr, weight_decay, lambda name, p: False)


@misconception(
    "optim.parameter_groups",
    "everything but biases",
    "All but the biases decays in your groups, norms and embeddings, too. Names of another "
    "library, such as LayerNorm.weight, do not occur here.",
)
def all_but_biases(model, lr, weight_decay):
    return two_groups(model, lr, weight_decay, lambda name, p: not name.endswith("bias"))


@misconception(
    "optim.parameter_groups",
    "the bias of the head",
    "The bias of the head decays. It is a vector; what it holds is how often each character "
    "occurs.",
)
def head_bias_decays(model, lr, weight_decay):
    return two_groups(
        model, lr, weight_decay, lambda name, p: is_matrix(name, p) or name == "head.bias"
    )


@misconception(
    "optim.parameter_groups",
    "vectors of the blocks",
    "All of the blocks and of the head decays, their biases and norms, too. Only the matrices "
    "should.",
)
def vectors_decay(model, lr, weight_decay):
    return two_groups(model, lr, weight_decay, lambda name, p: name.startswith(("blocks", "head")))


@misconception(
    "optim.parameter_groups",
    "only the first block",
    "You name the weights of block 0. The model may have any number of blocks.",
)
def first_block(model, lr, weight_decay):
    return two_groups(
        model,
        lr,
        weight_decay,
        lambda name, p: is_matrix(name, p) and name.startswith(("blocks.0.", "head")),
    )


@misconception(
    "optim.parameter_groups",
    "vectors in no group",
    "Your groups hold matrices and embeddings. Biases and norms are in none, so they stay as they "
    "began.",
)
def vectors_left_out(model, lr, weight_decay):
    groups = two_groups(model, lr, weight_decay, is_matrix)
    return [{**g, "params": [p for p in g["params"] if p.dim() > 1]} for g in groups]


@misconception(
    "optim.parameter_groups",
    "embeddings in no group",
    "Your groups leave out `wte` and `wpe`. They do not decay, but they must be trained.",
)
def embeddings_left_out(model, lr, weight_decay):
    groups = two_groups(model, lr, weight_decay, is_matrix)
    vectors = [p for p in groups[1]["params"] if p.dim() < 2]
    return [groups[0], {**groups[1], "params": vectors}]


@misconception(
    "optim.parameter_groups",
    "a decay of your own",
    "You wrote down the decay. Use `weight_decay`, which the caller chooses.",
)
def decay_of_your_own(model, lr, weight_decay):
    return two_groups(model, lr, 0.1, is_matrix)


@misconception(
    "optim.parameter_groups",
    "another rate",
    "One of your groups has a rate of its own. Every group has the rate `lr`.",
)
def another_rate(model, lr, weight_decay):
    first, second = two_groups(model, lr, weight_decay, is_matrix)
    return [first, {**second, "lr": lr / 10}]


@misconception(
    "optim.parameter_groups",
    "names instead of weights",
    "Your groups hold the names of the weights. An optimizer needs the parameters themselves.",
)
def names_of_weights(model, lr, weight_decay):
    names = [name for name, _ in model.named_parameters()]
    return [{"params": names, "lr": lr, "weight_decay": weight_decay}]


@misconception(
    "optim.parameter_groups",
    "a dictionary of groups",
    "Your groups are in a dictionary. AdamW takes a list of groups.",
)
def dictionary_of_groups(model, lr, weight_decay):
    return dict(zip("ab", two_groups(model, lr, weight_decay, is_matrix), strict=True))


@misconception(
    "optim.parameter_groups",
    "an optimizer",
    "You return the optimizer itself. The groups are what it is made from.",
)
def ready_optimizer(model, lr, weight_decay):
    return torch.optim.AdamW(two_groups(model, lr, weight_decay, is_matrix))


@misconception(
    "optim.parameter_groups",
    "params that can be read once",
    'Your "params" is a generator: read once, it is empty. Make a list of it.',
)
def read_once(model, lr, weight_decay):
    groups = two_groups(model, lr, weight_decay, is_matrix)
    return [{**group, "params": (p for p in group["params"])} for group in groups]


@misconception(
    "optim.parameter_groups",
    "wpe in every model",
    "You read `model.wpe`, and the modern style has none. `named_parameters` names only what is "
    "there.",
)
def wpe_everywhere(model, lr, weight_decay):
    embeddings = {id(model.wte.weight), id(model.wpe.weight)}
    return two_groups(
        model, lr, weight_decay, lambda name, p: p.dim() > 1 and id(p) not in embeddings
    )


@misconception(
    "optim.parameter_groups",
    "copies of the weights",
    "Your groups hold other tensors than the model: `.data`, `detach` and `clone` make new ones. "
    "What the optimizer moves must be the parameter itself.",
)
def copies(model, lr, weight_decay):
    groups = two_groups(model, lr, weight_decay, is_matrix)
    return [{**group, "params": [p.data for p in group["params"]]} for group in groups]


@misconception(
    "optim.parameter_groups",
    "a generator of groups",
    "You yield the groups one by one. Make a list: a generator can be gone through only once.",
)
def yielded(model, lr, weight_decay):
    yield from two_groups(model, lr, weight_decay, is_matrix)


@misconception(
    "optim.parameter_groups",
    "decay of the head only",
    "Of the matrices, only that of the head decays. `model.children()` shows the first level "
    "only; the matrices of the blocks lie deeper.",
)
def head_only(model, lr, weight_decay):
    return two_groups(model, lr, weight_decay, lambda name, p: name == "head.weight")


@misconception(
    "optim.parameter_groups",
    "biases of linear layers",
    "All of every linear layer decays, its bias, too. Only the matrix should.",
)
def linear_layers(model, lr, weight_decay):
    linear = {id(p) for m in model.modules() if isinstance(m, nn.Linear) for p in m.parameters()}
    return two_groups(model, lr, weight_decay, lambda name, p: id(p) in linear)


@misconception(
    "optim.parameter_groups",
    "a rate in one group only",
    'One of your groups has no "lr". AdamW then takes its own default for it, 0.001.',
)
def one_rate_only(model, lr, weight_decay):
    first, second = two_groups(model, lr, weight_decay, is_matrix)
    del second["lr"]
    return [first, second]


@misconception(
    "optim.parameter_groups",
    "names beside the weights",
    'Your lists hold pairs of name and parameter. "params" is a list of the parameters alone.',
)
def names_beside(model, lr, weight_decay):
    groups = two_groups(model, lr, weight_decay, is_matrix)
    return [{**group, "params": [("", p) for p in group["params"]]} for group in groups]


# --- clip_gradients ---------------------------------------------------------------------------


def length(tensors):
    return sum(tensor.square().sum().item() for tensor in tensors) ** 0.5


def shorten(tensors, max_norm, norm=None):
    """Clip by the length of the tensors, or by a wrong one."""
    norm = length(tensors) if norm is None else norm
    if norm > max_norm:
        for tensor in tensors:
            tensor.mul_(max_norm / norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "clip each tensor by itself",
    "You measure and shorten every tensor by itself. Long tensors lose more than short ones, so "
    "the step goes in another direction; the gradient is one vector.",
)
def each_by_itself(parameters, max_norm):
    total = 0.0
    for parameter in parameters:
        if parameter.grad is not None:
            norm = parameter.grad.norm().item()
            total += norm**2
            if norm > max_norm:
                parameter.grad.mul_(max_norm / norm)
    return total**0.5


@misconception(
    "optim.clip_gradients",
    "clip each number",
    "You cut every number off at the limit. That bends the gradient: its large parts shrink and "
    "its small ones do not. Multiply all by one factor.",
)
def each_number(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = sum(grad.square().sum().item() for grad in grads) ** 0.5
    for grad in grads:
        grad.clamp_(-max_norm, max_norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "always to the limit",
    "You bring every gradient to the length of the limit, short ones, too. Near a minimum the "
    "gradient is short for a reason; clipping only shortens.",
)
def always_to_the_limit(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = sum(grad.square().sum().item() for grad in grads) ** 0.5
    for grad in grads:
        grad.mul_(max_norm / (norm + 1e-6))
    return norm


@misconception(
    "optim.clip_gradients",
    "the length after clipping",
    "You return the length after clipping. It is never above the limit, so the log cannot show "
    "that anything was clipped.",
)
def length_afterwards(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = sum(grad.square().sum().item() for grad in grads) ** 0.5
    if norm > max_norm:
        for grad in grads:
            grad.mul_(max_norm / norm)
    return min(norm, max_norm)


@misconception(
    "optim.clip_gradients",
    "lengths added up",
    "You add the lengths of the tensors. Lengths at right angles do not add up: 3 and 4 make 5, "
    "not 7. Add squares, then take one root.",
)
def lengths_added(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = sum(grad.norm().item() for grad in grads)
    if norm > max_norm:
        for grad in grads:
            grad.mul_(max_norm / norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "no root",
    "You compare the sum of squares with the limit. The length is its root.",
)
def no_root(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = sum(grad.square().sum().item() for grad in grads)
    if norm > max_norm:
        for grad in grads:
            grad.mul_(max_norm / norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "an iterator gone through twice",
    "You go through `parameters` a second time. `model.parameters()` is used up by then, and "
    "nothing is clipped. Keep a list.",
)
def gone_through_twice(parameters, max_norm):
    norm = sum(p.grad.square().sum().item() for p in parameters if p.grad is not None) ** 0.5
    if norm > max_norm:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(max_norm / norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "the weights shortened",
    "You measure and shorten the weights. It is their gradients that are too long.",
)
@torch.no_grad()
def weights_shortened(parameters, max_norm):
    weights = [p for p in parameters if p.grad is not None]
    norm = sum(weight.square().sum().item() for weight in weights) ** 0.5
    if norm > max_norm:
        for weight in weights:
            weight.mul_(max_norm / norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "None taken for a gradient",
    "A parameter that took no part has `.grad` None. There is nothing to measure: leave it out.",
)
def none_measured(parameters, max_norm):
    return shorten([p.grad for p in parameters], max_norm)


@misconception(
    "optim.clip_gradients",
    "infinity divided by itself",
    "You multiply always, and with no limit the factor is infinity divided by infinity: NaN. "
    "Multiply only if the gradient is too long.",
)
def infinite_factor(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = length(grads)
    for grad in grads:
        grad.mul_(max_norm / max(norm, max_norm))
    return norm


@misconception(
    "optim.clip_gradients",
    "a new tensor nobody keeps",
    "`grad = grad * factor` makes a new tensor and gives it the name; the gradient stays as it "
    "is. Change it in place, or set `.grad`.",
)
def nobody_keeps(parameters, max_norm):
    return length([p.grad for p in parameters if p.grad is not None])


@misconception(
    "optim.clip_gradients",
    "the factor upside down",
    "You divide the length by the limit, so a long gradient becomes longer. The factor is limit "
    "divided by length.",
)
def factor_upside_down(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = length(grads)
    if norm > max_norm:
        for grad in grads:
            grad.mul_(norm / max_norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "always to length 1",
    "You divide by the length and leave it there. The new length is `max_norm`, not 1.",
)
def to_length_one(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = length(grads)
    if norm > max_norm:
        for grad in grads:
            grad.div_(norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "the weights measured",
    "You measure the weights. What is too long is the gradient.",
)
@torch.no_grad()
def weights_measured(parameters, max_norm):
    weights = [p for p in parameters if p.grad is not None]
    return shorten([p.grad for p in weights], max_norm, norm=length(weights))


@misconception(
    "optim.clip_gradients",
    "the gradient measured, the weights shortened",
    "You measure the gradient, but it is the weights that you multiply. They do not change here.",
)
@torch.no_grad()
def wrong_thing_shortened(parameters, max_norm):
    weights = [p for p in parameters if p.grad is not None]
    return shorten(weights, max_norm, norm=length([p.grad for p in weights]))


@misconception(
    "optim.clip_gradients",
    "absolute values added up",
    "You add up absolute values. The length is the root of the sum of squares.",
)
def absolute_values(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    return shorten(grads, max_norm, norm=sum(grad.abs().sum().item() for grad in grads))


@misconception(
    "optim.clip_gradients",
    "the longest tensor",
    "You take the length of the longest tensor. All tensors together are one vector, and that is "
    "longer.",
)
def longest_tensor(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    return shorten(grads, max_norm, norm=max((length([grad]) for grad in grads), default=0.0))


@misconception(
    "optim.clip_gradients",
    "a mean of squares",
    "You divide by the number of entries. The length is the root of the sum of squares, not of "
    "their mean.",
)
def mean_of_squares(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    count = max(sum(grad.numel() for grad in grads), 1)
    return shorten(grads, max_norm, norm=length(grads) / count**0.5)


@misconception(
    "optim.clip_gradients",
    "short ones lengthened",
    "You multiply when the gradient is shorter than the limit. It is the long ones that are "
    "shortened.",
)
def short_ones_lengthened(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = length(grads)
    if norm < max_norm:
        for grad in grads:
            grad.mul_(max_norm / norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "the factor returned",
    "You return the factor. The log needs the length before clipping.",
)
def factor_returned(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    return min(1.0, max_norm / (shorten(grads, max_norm) + 1e-6))


@misconception(
    "optim.clip_gradients",
    "nothing returned",
    "You shorten the gradient and return nothing. The log needs its length.",
)
def nothing_returned(parameters, max_norm):
    shorten([p.grad for p in parameters if p.grad is not None], max_norm)


@misconception(
    "optim.clip_gradients",
    "None filled with zeros",
    "You give parameters without a gradient one of zeros. With a gradient, AdamW goes on moving "
    "them; leave them out.",
)
def filled_with_zeros(parameters, max_norm):
    parameters = list(parameters)
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    return shorten([p.grad for p in parameters], max_norm)


@misconception(
    "optim.clip_gradients",
    "stop at the first None",
    "You stop at the first parameter without a gradient. Leave it out and go on.",
)
def stop_at_none(parameters, max_norm):
    return shorten(list(takewhile(lambda g: g is not None, (p.grad for p in parameters))), max_norm)


@misconception(
    "optim.clip_gradients",
    "shortened while measuring",
    "You shorten a tensor before all have been measured. Each gets another factor; measure first, "
    "then shorten.",
)
def while_measuring(parameters, max_norm):
    total = 0.0
    for parameter in parameters:
        if parameter.grad is not None:
            total += length([parameter.grad]) ** 2
            if total**0.5 > max_norm:
                parameter.grad.mul_(max_norm / total**0.5)
    return total**0.5


@misconception(
    "optim.clip_gradients",
    "no gradient at all",
    "Where no parameter has a gradient, your list is empty, and `stack` and `cat` fail on it. The "
    "length is then 0.",
)
def none_at_all(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    return shorten(
        grads, max_norm, norm=torch.cat([grad.flatten() for grad in grads]).norm().item()
    )


@misconception(
    "optim.clip_gradients",
    "nothing to stack",
    "Where no parameter has a gradient, there is nothing to stack, and `torch.stack` fails. The "
    "length is then 0.",
)
def nothing_to_stack(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    return shorten(grads, max_norm, norm=torch.stack([grad.norm() for grad in grads]).norm().item())


@misconception(
    "optim.clip_gradients",
    "sums squared",
    "You square the sum of each tensor. Numbers of different sign cancel in it; square each "
    "number, then add up.",
)
def sums_squared(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    return shorten(grads, max_norm, norm=sum(grad.sum().item() ** 2 for grad in grads) ** 0.5)


@misconception(
    "optim.clip_gradients",
    "the largest number",
    "You take the largest number for the length. The length is the root of the sum of squares.",
)
def largest_number(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = max((grad.abs().max().item() for grad in grads), default=0.0)
    return shorten(grads, max_norm, norm=norm)


@misconception(
    "optim.clip_gradients",
    "tensors glued as they are",
    "`torch.cat` joins tensors of like shape only. Make each one long with `flatten` first.",
)
def glued_as_they_are(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    return shorten(grads, max_norm, norm=torch.cat(grads).norm().item())


@misconception(
    "optim.clip_gradients",
    "the square compared",
    "You compare the sum of squares with the limit, and take the root afterwards. Some gradients "
    "that are short enough become longer.",
)
def square_compared(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = length(grads)
    if norm**2 > max_norm:
        for grad in grads:
            grad.mul_(max_norm / norm)
    return norm


# --- orthogonalize ----------------------------------------------------------------------------


def divided(G):
    return G / G.norm().clamp(min=1e-30)


def rounds(X, steps, coefficients=NS):
    a, b, c = coefficients
    for _ in range(steps):
        S = X @ X.T
        X = a * X + (b * S + c * S @ S) @ X
    return X


@misconception(
    "optim.orthogonalize",
    "not divided first",
    "You begin with G itself. Strengths above 1 grow in every round, and s⁵ grows fast: the "
    "matrix explodes.",
)
def not_divided(G, steps=5):
    return rounds(G, steps)


@misconception(
    "optim.orthogonalize",
    "divided by the largest number",
    "You divide by the largest entry. A matrix can be much stronger than its largest entry: "
    "strengths above 1 remain, and they explode.",
)
def by_the_largest_number(G, steps=5):
    return rounds(G / G.abs().max().clamp(min=1e-30), steps)


@misconception(
    "optim.orthogonalize",
    "divided in every round",
    "You divide by the length again in every round. That undoes what the round has done; once, "
    "before the first, is enough.",
)
def divided_each_round(G, steps=5):
    X = G / G.norm().clamp(min=1e-30)
    for _ in range(steps):
        X = rounds(X / X.norm().clamp(min=1e-30), 1)
    return X


@misconception(
    "optim.orthogonalize",
    "X Xᵀ made once",
    "You compute X Xᵀ before the loop. Every round needs that of its own X.",
)
def made_once(G, steps=5):
    a, b, c = NS
    X = G / G.norm().clamp(min=1e-30)
    S = X @ X.T
    for _ in range(steps):
        X = a * X + (b * S + c * S @ S) @ X
    return X


@misconception(
    "optim.orthogonalize",
    "powers of single numbers",
    "You raise each number to a power. The strengths belong to the whole matrix: only matrix "
    "products reach them.",
)
def single_numbers(G, steps=5):
    a, b, c = NS
    X = G / G.norm().clamp(min=1e-30)
    for _ in range(steps):
        X = a * X + b * X**3 + c * X**5
    return X


@misconception(
    "optim.orthogonalize",
    "squares of single numbers in (X Xᵀ)²",
    "You square the numbers of X Xᵀ one by one. (X Xᵀ)² is a matrix product of X Xᵀ with itself.",
)
def square_of_numbers(G, steps=5):
    a, b, c = NS
    X = G / G.norm().clamp(min=1e-30)
    for _ in range(steps):
        S = X @ X.T
        X = a * X + (b * S + c * S**2) @ X
    return X


@misconception(
    "optim.orthogonalize",
    "0 divided by 0",
    "A gradient of zeros has length 0, and you divide by it: NaN. One NaN in an update, and the "
    "model is lost.",
)
def zero_by_zero(G, steps=5):
    return rounds(G / G.norm(), steps)


@misconception(
    "optim.orthogonalize",
    "signs of single numbers",
    "You make every number 1 or −1. That treats each number by itself, as AdamW does; the "
    "directions of the matrix still differ in strength.",
)
def signs(G, steps=5):
    return G.sign()


@misconception(
    "optim.orthogonalize",
    "G divided in place",
    "You divide G itself, so the gradient of whoever called you has changed. Make a new matrix.",
)
def in_place(G, steps=5):
    G /= G.norm().clamp(min=1e-30)
    return rounds(G, steps)


@misconception(
    "optim.orthogonalize",
    "the singular values themselves",
    "You made all strengths exactly 1, by a decomposition. Muon does it by rounds of matrix "
    "products, and after `steps` rounds it is not there yet.",
)
def exactly_one(G, steps=5):
    U, _, Vh = torch.linalg.svd(G, full_matrices=False)
    return U @ Vh


@misconception(
    "optim.orthogonalize",
    "always five rounds",
    "You make five rounds whatever `steps` says.",
)
def always_five(G, steps=5):
    return rounds(divided(G), 5)


@misconception(
    "optim.orthogonalize",
    "one round too many",
    "You make one round more than `steps`.",
)
def one_round_more(G, steps=5):
    return rounds(divided(G), steps + 1)


@misconception(
    "optim.orthogonalize",
    "one round only",
    "A `return` inside the loop ends it after the first round.",
)
def one_round(G, steps=5):
    return rounds(divided(G), 1) if steps else None


@misconception(
    "optim.orthogonalize",
    "divided by the largest strength",
    "You divide by the largest singular value. The length of G is the root of the sum of all "
    "squares.",
)
def by_the_largest_strength(G, steps=5):
    return rounds(G / torch.linalg.matrix_norm(G, ord=2).clamp(min=1e-30), steps)


@misconception(
    "optim.orthogonalize",
    "divided row by row",
    "You divide each row by its own length. G has one length, that of all its numbers together.",
)
def row_by_row(G, steps=5):
    return rounds(G / G.norm(dim=-1, keepdim=True).clamp(min=1e-30), steps)


@misconception(
    "optim.orthogonalize",
    "no root",
    "You divide by the sum of squares. The length is its root.",
)
def squared_length(G, steps=5):
    return rounds(G / G.square().sum().clamp(min=1e-30), steps)


@misconception(
    "optim.orthogonalize",
    "a forgotten",
    "You begin each round with X itself. It is multiplied by a, too.",
)
def a_forgotten(G, steps=5):
    return rounds(divided(G), steps, (1.0, *NS[1:]))


@misconception(
    "optim.orthogonalize",
    "b and c exchanged",
    "b belongs to (X Xᵀ) X, and c to (X Xᵀ)² X. You have them the other way round.",
)
def exchanged(G, steps=5):
    return rounds(divided(G), steps, (NS[0], NS[2], NS[1]))


@misconception(
    "optim.orthogonalize",
    "the fifth power forgotten",
    "You stop at (X Xᵀ) X. There is a third part, c (X Xᵀ)² X.",
)
def no_fifth_power(G, steps=5):
    return rounds(divided(G), steps, (*NS[:2], 0.0))


@misconception(
    "optim.orthogonalize",
    "other coefficients",
    "You use 3/2 and −1/2, the classic numbers of Newton and Schulz. Muon's are in "
    "`NS_COEFFICIENTS`.",
)
def classic_coefficients(G, steps=5):
    return rounds(divided(G), steps, (1.5, -0.5, 0.0))


@misconception(
    "optim.orthogonalize",
    "the last X forgotten",
    "c (X Xᵀ)² is a square matrix (n, n). Multiply it by X, as the part with b.",
)
def last_factor_forgotten(G, steps=5):
    a, b, c = NS
    X = divided(G)
    for _ in range(steps):
        S = X @ X.T
        X = a * X + b * S @ X + c * S @ S
    return X


@misconception(
    "optim.orthogonalize",
    "a square matrix on the wrong side",
    "X Xᵀ is (n, n) and stands on the left of X. Xᵀ X is (m, m) and would stand on its right; X X "
    "is no product at all when X is not square.",
)
def wrong_side(G, steps=5):
    a, b, c = NS
    X = divided(G)
    for _ in range(steps):
        S = X.T @ X
        X = a * X + (b * S + c * S @ S) @ X
    return X


@misconception(
    "optim.orthogonalize",
    "not turned back",
    "You turn a tall matrix over and do not turn the result back. It has the shape of G.",
)
def not_turned_back(G, steps=5):
    return rounds(divided(G if G.shape[0] <= G.shape[1] else G.T), steps)


@misconception(
    "optim.orthogonalize",
    "another dtype",
    "You compute in another dtype and leave the result in it. Turn it back into the dtype of G.",
)
def another_dtype(G, steps=5):
    return rounds(divided(G.float()), steps)


@misconception(
    "optim.orthogonalize",
    "half the digits",
    "You compute in bfloat16, as Muon does on a GPU. It has three digits; this task keeps those "
    "of G.",
)
def half_the_digits(G, steps=5):
    return rounds(divided(G.bfloat16()), steps).to(G.dtype)


@misconception(
    "optim.orthogonalize",
    "half the digits, kept",
    "You compute in bfloat16 and leave the result in it. It has the dtype of G.",
)
def bfloat16_kept(G, steps=5):
    return rounds(divided(G.bfloat16()), steps)


@misconception(
    "optim.orthogonalize",
    "scaled for its shape",
    "You multiply the result by a factor for tall matrices. Muon does that elsewhere, when it "
    "makes the update.",
)
def scaled_for_its_shape(G, steps=5):
    return rounds(divided(G), steps) * max(1, G.shape[0] / G.shape[1]) ** 0.5


@misconception(
    "optim.orthogonalize",
    "no round, no division",
    "With `steps=0` you return G undivided. The division comes before the rounds.",
)
def nothing_without_rounds(G, steps=5):
    return rounds(divided(G), steps) if steps else G.clone()


@misconception(
    "optim.orthogonalize",
    "another default",
    "Without `steps` there are five rounds. You changed that in the first line of the function.",
)
def another_number_of_rounds(G, steps=10):
    return rounds(divided(G), steps)


@misconception(
    "optim.orthogonalize",
    "G itself",
    "For a matrix of zeros you return G itself. Whoever changes the result then changes the "
    "gradient: make a new matrix.",
)
def g_itself(G, steps=5):
    return rounds(divided(G), steps) if G.any() else G


@misconception(
    "optim.orthogonalize",
    "a large guard",
    "What you add to the length changes small gradients. Add something like 1e-30, or use `clamp`.",
)
def large_guard(G, steps=5):
    return rounds(G / (G.norm() + 1e-2), steps)


@misconception(
    "optim.orthogonalize",
    "a limit of length 1",
    "You divide only what is longer than 1. A short gradient then begins weak and stays weak; all "
    "are divided.",
)
def only_long_ones(G, steps=5):
    return rounds(G / G.norm().clamp(min=1.0), steps)


@misconception(
    "optim.orthogonalize",
    "one round too few",
    "You make one round less than `steps`.",
)
def one_round_less(G, steps=5):
    return rounds(divided(G), steps - 1)


@misconception(
    "optim.orthogonalize",
    "divided by the root of the mean",
    "You divide by the root of the mean square. The length is the root of the sum.",
)
def root_of_the_mean(G, steps=5):
    return rounds(G / G.square().mean().sqrt().clamp(min=1e-30), steps)


@misconception(
    "optim.orthogonalize",
    "divided by the sum of absolute values",
    "You divide by the sum of absolute values. The length is the root of the sum of squares.",
)
def sum_of_absolute_values(G, steps=5):
    return rounds(G / G.abs().sum().clamp(min=1e-30), steps)


@misconception(
    "optim.orthogonalize",
    "divided column by column",
    "You divide each column by its own length. G has one length, that of all its numbers together.",
)
def column_by_column(G, steps=5):
    return rounds(G / G.norm(dim=0, keepdim=True).clamp(min=1e-30), steps)


@misconception(
    "optim.orthogonalize",
    "X changed within a round",
    "You overwrite X before the round is over. All three parts of the sum are made of the X with "
    "which it began.",
)
def changed_within(G, steps=5):
    a, b, c = NS
    X = divided(G)
    for _ in range(steps):
        S = X @ X.T
        X = a * X + b * S @ X
        X = X + c * S @ S @ X
    return X
