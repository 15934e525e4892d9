"""Chapter 06 · your answers.

Check them: nanopoet check pretraining. Try them: the lines after >>> are examples, which
`python -m doctest exercises/pretraining.py` runs; print() shows what you want to see.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # for your editor; nothing is imported when the code runs
    from nanopoet_ref.poem import Poem
    from nanopoet_ref.tokenizer import CharTokenizer


def poem_stream(tokenizer: "CharTokenizer", poems: "Sequence[Poem]") -> NDArray[np.uint16]:
    """The contents of all poems in one stream of ids (文本流), a boundary before each poem.

    `poem.content` is the text of a poem; author, form and title stay out. `tokenizer.encode(text)`
    gives its ids, one for each character, as an array or as a list. The boundary (边界标记) is one
    id, `tokenizer.special["<|bos|>"]`. It stands before every poem, the first one included, and
    nowhere else. A poem without characters still has its boundary.

    Returns a NumPy array (N,) of any integer dtype that holds all ids. Ids go up to 65,535, so
    uint16 is enough. There is at least one poem.

    The real corpus has a quarter of a million poems and should take seconds. Do not glue array to
    array for each poem: each time everything so far is copied again.

    >>> from types import SimpleNamespace as Thing
    >>> letters = Thing(special={"<|bos|>": 0}, encode=lambda text: list(text.encode()))
    >>> poem_stream(letters, [Thing(content="AB"), Thing(content="C")]).tolist()
    [0, 65, 66, 0, 67]
    """
    # TODO: your code
    raise NotImplementedError("pretraining.poem_stream")


def split_windows(
    ids: NDArray[np.uint16], block_size: int, stride: int, every: int = 10
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Windows (窗口) for training and windows for validation, from one stream of ids (N,).

    A window has `block_size + 1` ids: inputs, and the targets one place later. The last
    `N // every` places of the stream are for validation, all others for training. No place of the
    stream is in a training window and in a validation window.

    Each of the two parts is cut by itself, in order: the windows of a part begin at its places
    0, `stride`, `2 * stride` and so on, as long as a whole window fits into the part. A stride
    smaller than a window makes neighbours overlap; that is allowed.

    Returns two arrays, (number of windows, `block_size + 1`) each: training, validation. A part
    that is too short for a window gives an array with 0 rows.

    The symptom: the validation loss stays close to the training loss, however long you train, even
    when the model can recite the poems it was trained on. On new poems it is far worse.

    >>> train, val = split_windows(np.arange(12), block_size=2, stride=2, every=3)
    >>> train.tolist(), val.tolist()
    ([[0, 1, 2], [2, 3, 4], [4, 5, 6]], [[8, 9, 10]])
    """
    starts = np.arange(0, len(ids) - block_size, stride)
    windows = ids[starts[:, None] + np.arange(block_size + 1)]
    is_val = np.arange(len(windows)) % every == every - 1
    return windows[~is_val], windows[is_val]


# The tutorial's run: 100 updates, each of 64 windows of 256 characters.
UPDATES, BATCH_SIZE, BLOCK_SIZE = 100, 64, 256
LEARNING_RATE = 3e-4  # of AdamW; constant, no weight decay
VOCAB_SIZE = 11_868
STREAM = 11_027_051  # ids to learn from
SAMPLE = {"，": 4, "不": 2, "人": 1, "山": 1}  # how often each character occurs in a small text


def first_hundred_updates() -> dict[str, float]:
    """What can be said of a run of 100 updates before it is made. Work it out on paper first.

    The numbers of the run stand above. Return a dictionary of six numbers, each right to 1%:

    - "tokens": how many targets the run learns from, all updates together;
    - "epochs": how often it goes through the stream, as a number with decimals;
    - "uniform_loss": the loss of knowing nothing, in nats per token;
    - "sample_entropy": the loss of knowing how often each character occurs in `SAMPLE`, and nothing
      else, measured on that same text, in nats per token;
    - "farthest_move": how far one weight can move in the run if all its gradients agree: AdamW
      moves it by about the learning rate each time;
    - "updates_at_step_90": how many updates the model has behind it when a loss is printed as
      "step 90", by a loop that counts steps from 0 and evaluates after the update.

    You may return plain numbers, or let Python compute them.

    >>> sorted(first_hundred_updates())[:3]
    ['epochs', 'farthest_move', 'sample_entropy']
    """
    # TODO: your code
    raise NotImplementedError("pretraining.first_hundred_updates")
