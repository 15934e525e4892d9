"""Wrong answers to the tasks of chapter 01."""

import re
from collections import Counter
from itertools import groupby, pairwise

import numpy as np

from nanopoet.trial import misconception
from nanopoet_ref.tokenizer import BOS, END, SPECIAL_TOKENS, SPLIT_PATTERN
from nanopoet_ref.tokenizer import count_pairs as right_count
from nanopoet_ref.tokenizer import merge as right_merge

FIELDS = ("author", "form", "title", "content")


# --- count_characters -------------------------------------------------------------------------


@misconception(
    "tokenizer.count_characters",
    "count bytes",
    "You count the bytes of UTF-8. A Chinese character has three of them, and none is a character.",
)
def count_bytes(text):
    return dict(Counter(text.encode()))


@misconception(
    "tokenizer.count_characters",
    "count a character once",
    "You set each count to 1, also when the character comes again. Then no character is "
    "common and none is rare.",
)
def count_once(text):
    return dict.fromkeys(text, 1)


@misconception(
    "tokenizer.count_characters",
    "begin at 0",
    "Your count starts with 0 at the first occurrence, which is itself an occurrence. All "
    "counts are too small by one.",
)
def begin_at_zero(text):
    counts = {}
    for c in text:
        counts[c] = counts[c] + 1 if c in counts else 0
    return counts


@misconception(
    "tokenizer.count_characters",
    "count words",
    "You cut the text at white space and count the pieces. Chinese has no spaces between "
    "words; here the unit is the character.",
)
def count_words(text):
    return dict(Counter(text.split()))


@misconception(
    "tokenizer.count_characters",
    "skip what is no letter",
    "You leave out stops, commas or white space. A poem that comes back without its stops is "
    "another poem, so they are counted like any character.",
)
def skip_signs(text):
    return dict(Counter(c for c in text if c.isalpha()))


@misconception(
    "tokenizer.count_characters",
    "last run only",
    "You count equal characters in a row, and a later run overwrites the earlier one. The "
    "count of a character is over the whole text.",
)
def last_run(text):
    return {c: len(list(run)) for c, run in groupby(text)}


# --- build_vocab ------------------------------------------------------------------------------


@misconception(
    "tokenizer.build_vocab",
    "ties by first seen",
    "Characters of equal count stand in the order in which you met them. If the poems are "
    "shuffled, the ids change, and a saved model reads garbage.",
)
def ties_by_first_seen(texts, min_count=1):
    counts = Counter("".join(texts))
    return [*SPECIAL_TOKENS, *(c for c, count in counts.most_common() if count >= min_count)]


@misconception(
    "tokenizer.build_vocab",
    "more than min_count",
    "You keep characters seen more often than min_count. The name says minimum: exactly "
    "min_count times is enough.",
)
def more_than_min_count(texts, min_count=1):
    counts = Counter("".join(texts))
    kept = [c for c in counts if counts[c] > min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "read the texts twice",
    "You go over `texts` a second time. A generator is empty by then, so the vocabulary or "
    "its counts are.",
)
def read_twice(texts, min_count=1):
    characters = {c for text in texts for c in text}
    counts = Counter(c for text in texts for c in text)
    kept = [c for c in characters if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "special tokens at the end",
    "Your special tokens come after the characters. Their ids then change with every "
    "vocabulary; in front they are always 0 … 7.",
)
def special_at_the_end(texts, min_count=1):
    counts = Counter("".join(texts))
    kept = [c for c in counts if counts[c] >= min_count]
    return [*sorted(kept, key=lambda c: (-counts[c], c)), *SPECIAL_TOKENS]


@misconception(
    "tokenizer.build_vocab",
    "no special tokens",
    "Your vocabulary has the characters only. Without special tokens there is no id for an "
    "unknown character, and none for the frame of a poem.",
)
def no_special(texts, min_count=1):
    counts = Counter("".join(texts))
    kept = [c for c in counts if counts[c] >= min_count]
    return sorted(kept, key=lambda c: (-counts[c], c))


@misconception(
    "tokenizer.build_vocab",
    "rarest first",
    "You sort by rising count, so the rarest characters get the first ids. An id should be a "
    "rank: the commonest first.",
)
def rarest_first(texts, min_count=1):
    counts = Counter("".join(texts))
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "ties in reverse order",
    "You reverse the whole order to get the commonest first. That turns ties round, too: of "
    "equal counts, the last in Unicode comes first.",
)
def reversed_ties(texts, min_count=1):
    counts = Counter("".join(texts))
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (counts[c], c), reverse=True)]


@misconception(
    "tokenizer.build_vocab",
    "Unicode order only",
    "You sort the characters without their counts. An id should be a rank: the commonest "
    "first, and Unicode order only among equals.",
)
def unicode_order(texts, min_count=1):
    counts = Counter("".join(texts))
    return [*SPECIAL_TOKENS, *sorted(c for c in counts if counts[c] >= min_count)]


@misconception(
    "tokenizer.build_vocab",
    "count texts",
    "You count in how many texts a character stands. A character that stands twice in one "
    "poem was seen twice.",
)
def count_texts(texts, min_count=1):
    counts = Counter(c for text in texts for c in set(text))
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "count a separator",
    "You put a line break between the texts before you count. It gets an id although no text "
    "contains it, or its count is too high.",
)
def count_separator(texts, min_count=1):
    counts = Counter("\n".join(texts))
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "ignore min_count",
    "You keep every character, however rare. Each costs as many parameters as 春 does, and "
    "there is hardly a line to learn it from.",
)
def ignore_min_count(texts, min_count=1):
    counts = Counter("".join(texts))
    return [*SPECIAL_TOKENS, *sorted(counts, key=lambda c: (-counts[c], c))]


# --- encode -----------------------------------------------------------------------------------


@misconception(
    "tokenizer.encode",
    "crash on an unknown character",
    "stoi[c] raises KeyError for a character that is not in the vocabulary. Poems that come "
    "later do contain such characters.",
)
def crash_on_unknown(text, stoi, unk):
    return [stoi[c] for c in text]


@misconception(
    "tokenizer.encode",
    "a name instead of an id",
    "Your unknown characters become a string among integers. Nothing complains here; the "
    "error comes far away, where a tensor is made.",
)
def name_instead_of_id(text, stoi, unk):
    return [stoi.get(c, "<|unk|>") for c in text]


@misconception(
    "tokenizer.encode",
    "skip unknown characters",
    "You leave unknown characters out. The text gets shorter, and a line of five characters "
    "has four without a trace.",
)
def skip_unknown(text, stoi, unk):
    return [stoi[c] for c in text if c in stoi]


@misconception(
    "tokenizer.encode",
    "take 0 for unknown",
    "You write 0 for an unknown character, whatever `unk` is. In another vocabulary 0 may be "
    "the id of a character.",
)
def zero_for_unknown(text, stoi, unk):
    return [stoi.get(c, 0) for c in text]


@misconception(
    "tokenizer.encode",
    "take id 0 for missing",
    "You use `or`, or ask `if stoi.get(c)`. The id 0 is false in Python, so the character "
    "with id 0 becomes unknown.",
)
def zero_is_false(text, stoi, unk):
    return [stoi.get(c) or unk for c in text]


@misconception(
    "tokenizer.encode",
    "look for whole names",
    'You look for keys of several characters, too. A title that spells "<|content|>" then '
    "forges a marker, and the frame of the poem breaks.",
)
def whole_names(text, stoi, unk):
    names = sorted(stoi, key=len, reverse=True)
    pieces = re.findall("|".join([*map(re.escape, names), "."]), text, re.DOTALL)
    return [stoi.get(piece, unk) for piece in pieces]


@misconception(
    "tokenizer.encode",
    "add unknown characters",
    "You give a new id to an unknown character and change `stoi`. The model has no row for "
    "that id: its size was fixed when it was built.",
)
def add_unknown(text, stoi, unk):
    return [stoi.setdefault(c, len(stoi)) for c in text]


@misconception(
    "tokenizer.encode",
    "a new list for each character",
    "`ids = ids + [...]` copies all ids so far, once per character. Ten million characters "
    "need fifty million million copies; appending needs ten million.",
)
def new_list_each_time(text, stoi, unk):
    ids = []
    for c in text:
        ids = ids + [stoi.get(c, unk)]  # noqa: RUF005
    return ids


@misconception(
    "tokenizer.encode",
    "search a list",
    "You go through the keys to find a character. With ten thousand keys that is thousands of "
    "steps for each character; a dictionary needs one.",
)
def search_a_list(text, stoi, unk):
    keys, ids = list(stoi), list(stoi.values())
    return [ids[keys.index(c)] if c in keys else unk for c in text]


# --- decode -----------------------------------------------------------------------------------


@misconception(
    "tokenizer.decode",
    "negative ids count from the end",
    "vocab[-1] is the last token, so a negative id gives a text without complaint. Python's "
    "lists allow it; an id is never negative.",
)
def negative_from_the_end(ids, vocab):
    tokens = []
    for i in ids:
        if i >= len(vocab):
            raise ValueError(f"no token {i}")
        tokens.append(vocab[i])
    return "".join(tokens)


@misconception(
    "tokenizer.decode",
    "leave errors to the list",
    "You index without a test. A large id gives IndexError instead of ValueError, and a "
    "negative one gives a wrong text.",
)
def leave_it_to_the_list(ids, vocab):
    return "".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "spaces between tokens",
    "You put spaces between the tokens. The text that went in had none.",
)
def spaces_between(ids, vocab):
    ids = list(ids)
    if any(not 0 <= i < len(vocab) for i in ids):
        raise ValueError("no such token")
    return " ".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "use up the generator",
    "You test all ids first and join them afterwards. A generator is empty after the first "
    "pass, so the text is empty. Make a list first, or test each id when you use it.",
)
def use_up(ids, vocab):
    if any(not 0 <= i < len(vocab) for i in ids):
        raise ValueError("no such token")
    return "".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "hide special tokens",
    "You leave special tokens out. Then you cannot see that a model wrote <|end|>, or that a "
    "character was unknown.",
)
def hide_special(ids, vocab):
    ids = list(ids)
    if any(not 0 <= i < len(vocab) for i in ids):
        raise ValueError("no such token")
    return "".join(vocab[i] for i in ids if len(vocab[i]) == 1)


@misconception(
    "tokenizer.decode",
    "smallest of nothing",
    "min() and max() of no ids raise ValueError, so the empty list is refused. It is the "
    "encoding of the empty text.",
)
def smallest_of_nothing(ids, vocab):
    ids = list(ids)
    if min(ids) < 0 or max(ids) >= len(vocab):
        raise ValueError("no such token")
    return "".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "skip ids without a token",
    "You leave ids out that no token has. A model and a vocabulary that do not fit together "
    "then give a text with holes, and nobody notices.",
)
def skip_outside(ids, vocab):
    return "".join(vocab[i] for i in ids if 0 <= i < len(vocab))


@misconception(
    "tokenizer.decode",
    "allow len(vocab)",
    "You let the id len(vocab) pass. Ids begin at 0, so the last one is len(vocab) - 1.",
)
def one_too_many(ids, vocab):
    tokens = []
    for i in ids:
        if i < 0 or i > len(vocab):
            raise ValueError(f"no token {i}")
        tokens.append(vocab[i])
    return "".join(tokens)


# --- render_poem ------------------------------------------------------------------------------


@misconception(
    "tokenizer.render_poem",
    "spell the markers",
    "You send the names of the markers through `encode`. It sees characters: <|bos|> becomes "
    "seven ids. The id of a marker is in tokenizer.special.",
)
def spell_markers(tokenizer, poem):
    parts = [f"<|{field}|>{getattr(poem, field)}" for field in FIELDS]
    return [int(i) for i in tokenizer.encode("".join([BOS, *parts, END]))]


def frame(tokenizer, poem, fields=FIELDS):
    ids = [tokenizer.special[BOS]]
    for field in fields:
        ids += [
            tokenizer.special[f"<|{field}|>"],
            *map(int, tokenizer.encode(getattr(poem, field))),
        ]
    return [*ids, tokenizer.special[END]]


@misconception(
    "tokenizer.render_poem",
    "no <|end|>",
    "Your row does not end with <|end|>. A model trained on it never learns that a poem can "
    "be over.",
)
def no_end(tokenizer, poem):
    return frame(tokenizer, poem)[:-1]


@misconception(
    "tokenizer.render_poem",
    "no <|bos|>",
    "Your row does not begin with <|bos|>. Where poems stand one behind the other, it says "
    "that a new one starts.",
)
def no_bos(tokenizer, poem):
    return frame(tokenizer, poem)[1:]


@misconception(
    "tokenizer.render_poem",
    "count the markers yourself",
    "You take 0 … 7 for the ids of the special tokens. They are what tokenizer.special says: "
    "another tokenizer may have other ids.",
)
def own_numbers(tokenizer, poem):
    ids = [SPECIAL_TOKENS.index(BOS)]
    for field in FIELDS:
        ids.append(SPECIAL_TOKENS.index(f"<|{field}|>"))
        ids.extend(map(int, tokenizer.encode(getattr(poem, field))))
    return [*ids, SPECIAL_TOKENS.index(END)]


@misconception(
    "tokenizer.render_poem",
    "keep NumPy integers",
    "You put NumPy's integers into the list. They look like ints, but are of another type: "
    "JSON refuses them, and sums of uint16 overflow.",
)
def numpy_integers(tokenizer, poem):
    ids = [tokenizer.special[BOS]]
    for field in FIELDS:
        ids += [tokenizer.special[f"<|{field}|>"], *tokenizer.encode(getattr(poem, field))]
    return [*ids, tokenizer.special[END]]


@misconception(
    "tokenizer.render_poem",
    "return an array",
    "You return a NumPy array. The contract asks for a list of plain ints: the items of an "
    "array are NumPy's.",
)
def return_an_array(tokenizer, poem):
    return np.array(frame(tokenizer, poem))


@misconception(
    "tokenizer.render_poem",
    "lists of numbers are arrays",
    "You call .tolist() on what `encode` gives. It may be a list, which has no such method.",
)
def always_arrays(tokenizer, poem):
    ids = [tokenizer.special[BOS]]
    for field in FIELDS:
        text = getattr(poem, field)
        ids += [tokenizer.special[f"<|{field}|>"], *tokenizer.encode(text).tolist()]
    return [*ids, tokenizer.special[END]]


@misconception(
    "tokenizer.render_poem",
    "another order of fields",
    "Your fields stand in another order. You will ask for a poem by author, form and title, "
    "in this order; the model must have learned the same.",
)
def other_order(tokenizer, poem):
    return frame(tokenizer, poem, ("title", "author", "form", "content"))


@misconception(
    "tokenizer.render_poem",
    "leave out empty fields",
    "You leave out the marker of an empty field. Then not all rows have the same frame, and "
    "what stands where is a guess.",
)
def leave_out_empty(tokenizer, poem):
    return frame(tokenizer, poem, [field for field in FIELDS if getattr(poem, field)])


@misconception(
    "tokenizer.render_poem",
    "lists inside the list",
    "You append the ids of a field as one thing. The row must be flat: one integer after the "
    "other.",
)
def nested(tokenizer, poem):
    ids = [tokenizer.special[BOS]]
    for field in FIELDS:
        ids.append(tokenizer.special[f"<|{field}|>"])
        ids.append(list(map(int, tokenizer.encode(getattr(poem, field)))))
    return [*ids, tokenizer.special[END]]


@misconception(
    "tokenizer.render_poem",
    "markers behind the text",
    "Your markers stand behind the text of their field. A model that writes on after "
    "<|content|> would then write what comes after the lines, not the lines.",
)
def markers_behind(tokenizer, poem):
    ids = [tokenizer.special[BOS]]
    for field in FIELDS:
        ids += [
            *map(int, tokenizer.encode(getattr(poem, field))),
            tokenizer.special[f"<|{field}|>"],
        ]
    return [*ids, tokenizer.special[END]]


# --- count_pairs ------------------------------------------------------------------------------


@misconception(
    "tokenizer.count_pairs",
    "count each chunk once",
    "You add 1 for a pair, however often its chunk occurs. A chunk with count 3 stands for "
    "three equal pieces of text.",
)
def each_chunk_once(chunks):
    return Counter(pair for chunk in chunks for pair in pairwise(chunk))


@misconception(
    "tokenizer.count_pairs",
    "overwrite instead of add",
    "You set the count of a pair to that of the chunk, and the next occurrence overwrites it. "
    "Counts are sums over all places.",
)
def overwrite(chunks):
    return {pair: count for chunk, count in chunks.items() for pair in pairwise(chunk)}


@misconception(
    "tokenizer.count_pairs",
    "pairs without direction",
    "You count (1, 2) and (2, 1) as one pair. Bytes in the other order are another text.",
)
def without_direction(chunks):
    pairs = Counter()
    for chunk, count in chunks.items():
        for a, b in pairwise(chunk):
            pairs[min(a, b), max(a, b)] += count
    return pairs


@misconception(
    "tokenizer.count_pairs",
    "every second place",
    "You cut a chunk into twos: places 0 and 1, places 2 and 3. Pairs also stand at places 1 "
    "and 2.",
)
def every_second(chunks):
    pairs = Counter()
    for chunk, count in chunks.items():
        for pair in zip(chunk[::2], chunk[1::2], strict=False):
            pairs[pair] += count
    return pairs


@misconception(
    "tokenizer.count_pairs",
    "pairs across chunks",
    "You put the chunks one behind the other, and count pairs that reach from one into the "
    "next. Text was cut so that no token does.",
)
def across_chunks(chunks):
    row = [i for chunk, count in chunks.items() for i in count * chunk]
    return Counter(pairwise(row))


@misconception(
    "tokenizer.count_pairs",
    "no overlap",
    "You skip a place that is part of the pair before. So much for merging; in counting, (1, "
    "1, 1) has the pair (1, 1) twice.",
)
def no_overlap(chunks):
    pairs = Counter()
    for chunk, count in chunks.items():
        before, used = None, False
        for pair in pairwise(chunk):
            used = pair == before and not used
            before = pair
            if not used:
                pairs[pair] += count
    return pairs


@misconception(
    "tokenizer.count_pairs",
    "a chunk has a pair or not",
    "You count a pair once per chunk, although it stands in it several times. (1, 2, 1, 2) "
    "has the pair (1, 2) twice.",
)
def pair_or_not(chunks):
    pairs = Counter()
    for chunk, count in chunks.items():
        for pair in set(pairwise(chunk)):
            pairs[pair] += count
    return pairs


@misconception(
    "tokenizer.count_pairs",
    "the last pair is missing",
    "Your loop ends one place too early. A chunk of n ids has n - 1 pairs.",
)
def last_pair_missing(chunks):
    pairs = Counter()
    for chunk, count in chunks.items():
        for i in range(len(chunk) - 2):
            pairs[chunk[i], chunk[i + 1]] += count
    return pairs


# --- merge ------------------------------------------------------------------------------------


@misconception(
    "tokenizer.merge",
    "from right to left",
    "You merge from the end. 1 1 1 then becomes 1 9 instead of 9 1. Training and encoding "
    "must cut in the same way.",
)
def from_the_right(ids, pair, new_id):
    return right_merge(ids[::-1], pair[::-1], new_id)[::-1]


@misconception(
    "tokenizer.merge",
    "keep the second id",
    "You write the new id, and then go on at the next place. That id is part of the merged "
    "pair: it is gone, skip it.",
)
def keep_the_second(ids, pair, new_id):
    row = [*ids, None]
    return tuple(new_id if (a, b) == pair else a for a, b in pairwise(row))


@misconception(
    "tokenizer.merge",
    "first occurrence only",
    "You merge the first occurrence and stop. The whole row must be searched.",
)
def first_only(ids, pair, new_id):
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return (*ids[:i], new_id, *ids[i + 2 :])
    return tuple(ids)


@misconception(
    "tokenizer.merge",
    "return a list",
    "You return a list. The merged chunk becomes a key of a dictionary, and keys must not "
    "change later: a tuple, please.",
)
def return_a_list(ids, pair, new_id):
    return list(right_merge(ids, pair, new_id))


@misconception(
    "tokenizer.merge",
    "lose the last id",
    "Your loop looks at pairs only. When the last id is no part of a merged pair, it is never "
    "written.",
)
def lose_the_last(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids) - 1:
        found = (ids[i], ids[i + 1]) == pair
        out.append(new_id if found else ids[i])
        i += 2 if found else 1
    return tuple(out)


@misconception(
    "tokenizer.merge",
    "replace in a text",
    'You write the ids as text and replace there. In "1 12" you also find "1 1", although 12 '
    "is one id.",
)
def replace_in_text(ids, pair, new_id):
    text = " ".join(map(str, ids)).replace(" ".join(map(str, pair)), str(new_id))
    return tuple(map(int, text.split()))


@misconception(
    "tokenizer.merge",
    "look behind the end",
    "At the last place you ask for ids[i + 1], and there is none: IndexError.",
)
def behind_the_end(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return tuple(out)


@misconception(
    "tokenizer.merge",
    "change the list that came in",
    "You merge inside the list that you were given. Whoever called you still needs it: build "
    "a new row.",
)
def change_in_place(ids, pair, new_id):
    row = ids if isinstance(ids, list) else list(ids)
    i = 0
    while i < len(row) - 1:
        if (row[i], row[i + 1]) == pair:
            row[i : i + 2] = [new_id]
        i += 1
    return tuple(row)


@misconception(
    "tokenizer.merge",
    "either order",
    "You merge (2, 1) as well as (1, 2). Both would then be written with one id, and decoding "
    "could not tell them apart.",
)
def either_order(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) in (pair, pair[::-1]):
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return tuple(out)


# --- train_bpe --------------------------------------------------------------------------------


def train(chunks, n_merges, choose, least=2):
    token_of = [bytes([i]) for i in range(256)]
    for _ in range(n_merges):
        pairs = right_count(chunks)
        if max(pairs.values(), default=0) < least:
            break
        pair = choose(pairs)
        chunks = {right_merge(chunk, pair, len(token_of)): n for chunk, n in chunks.items()}
        token_of.append(token_of[pair[0]] + token_of[pair[1]])
    return {token: rank for rank, token in enumerate(token_of)}


def cut(text):
    return {tuple(c.encode()): n for c, n in Counter(re.findall(SPLIT_PATTERN, text)).items()}


def smallest(pairs):
    return min(pairs, key=lambda pair: (-pairs[pair], pair))


@misconception(
    "tokenizer.train_bpe",
    "ties by first seen",
    "Of equally common pairs you take the one that was counted first. It then depends on the "
    "order of the poems which tokens you get.",
)
def bpe_first_seen(text, n_merges):
    return train(cut(text), n_merges, lambda pairs: max(pairs, key=lambda pair: pairs[pair]))


@misconception(
    "tokenizer.train_bpe",
    "ties to the largest ids",
    "max() over (count, pair) takes the commonest pair, but of equal ones that with the "
    "largest ids. The rule is: the smallest.",
)
def bpe_largest(text, n_merges):
    return train(
        cut(text), n_merges, lambda pairs: max(pairs, key=lambda pair: (pairs[pair], pair))
    )


@misconception(
    "tokenizer.train_bpe",
    "no cuts",
    "You train on the whole text without cutting it. Merges then cross stops and spaces, and "
    "a token reaches over the end of a line of verse.",
)
def bpe_no_cuts(text, n_merges):
    return train({tuple(text.encode()): 1}, n_merges, smallest)


@misconception(
    "tokenizer.train_bpe",
    "each chunk once",
    "You keep the different chunks and forget how often they occur. What is common in the "
    "text is then as rare as anything else.",
)
def bpe_each_once(text, n_merges):
    return train(dict.fromkeys(cut(text), 1), n_merges, smallest)


@misconception(
    "tokenizer.train_bpe",
    "n_merges as the size",
    "You stop when the vocabulary has n_merges tokens. The 256 bytes are there before the "
    "first merge and do not count.",
)
def bpe_as_size(text, n_merges):
    return train(cut(text), n_merges - 256, smallest)


@misconception(
    "tokenizer.train_bpe",
    "merge what occurs once",
    "You go on when no pair occurs twice. Such merges learn a text by heart: they find "
    "nothing that is repeated.",
)
def bpe_merge_once(text, n_merges):
    return train(cut(text), n_merges, smallest, least=1)


@misconception(
    "tokenizer.train_bpe",
    "crash without pairs",
    "When all chunks have one id, there is no pair, and min() or max() of nothing raises "
    "ValueError. Training should end there.",
)
def bpe_crash(text, n_merges):
    chunks, token_of = cut(text), [bytes([i]) for i in range(256)]
    for _ in range(n_merges):
        pairs = right_count(chunks)
        pair = smallest(pairs)
        if pairs[pair] < 2:
            break
        chunks = {right_merge(chunk, pair, len(token_of)): n for chunk, n in chunks.items()}
        token_of.append(token_of[pair[0]] + token_of[pair[1]])
    return {token: rank for rank, token in enumerate(token_of)}


@misconception(
    "tokenizer.train_bpe",
    "count only at the beginning",
    "You count the pairs once and take the commonest ones. After each merge the neighbours "
    "are others, so they must be counted anew.",
)
def bpe_count_once(text, n_merges):
    pairs = right_count(cut(text))
    chosen = sorted((p for p in pairs if pairs[p] > 1), key=lambda p: (-pairs[p], p))
    tokens = [*(bytes([i]) for i in range(256)), *map(bytes, chosen[:n_merges])]
    return {token: rank for rank, token in enumerate(tokens)}


@misconception(
    "tokenizer.train_bpe",
    "words at white space",
    "You cut the text with split(). It throws the white space away, and it does not cut at "
    "Chinese stops, so tokens reach over the end of a line.",
)
def bpe_split(text, n_merges):
    chunks = {tuple(word.encode()): n for word, n in Counter(text.split()).items()}
    return train(chunks, n_merges, smallest)


@misconception(
    "tokenizer.train_bpe",
    "characters instead of bytes",
    "You start from characters. Byte-pair encoding starts from the 256 bytes of UTF-8, so "
    "that no character is ever unknown.",
)
def bpe_characters(text, n_merges):
    chunks = {tuple(map(ord, c)): n for c, n in Counter(re.findall(SPLIT_PATTERN, text)).items()}
    token_of = {ord(c): c.encode() for c in text}
    learned = [bytes([i]) for i in range(256)]
    for new_id in range(0x110000, 0x110000 + n_merges):
        pairs = right_count(chunks)
        if max(pairs.values(), default=0) < 2:
            break
        a, b = smallest(pairs)
        chunks = {right_merge(chunk, (a, b), new_id): n for chunk, n in chunks.items()}
        token_of[new_id] = token_of[a] + token_of[b]
        learned.append(token_of[new_id])
    return {token: rank for rank, token in enumerate(learned)}


# --- bpe_encode -------------------------------------------------------------------------------


def join(parts, ranks, choose):
    """Join neighbours, again and again; `choose` picks a place from those that have a rank."""
    while True:
        joined = [a + b for a, b in pairwise(parts)]
        places = [i for i, token in enumerate(joined) if token in ranks]
        if not places:
            return [ranks[part] for part in parts]
        i = choose(places, [ranks[joined[i]] for i in places])
        parts[i : i + 2] = [joined[i]]


def split_bytes(text):
    return [[bytes([b]) for b in chunk.encode()] for chunk in re.findall(SPLIT_PATTERN, text)]


@misconception(
    "tokenizer.bpe_encode",
    "longest token first",
    "You go from left to right and take the longest token that fits. Training joined by rank; "
    "cut in another way, the model meets rows that it has never seen.",
)
def longest_first(text, ranks):
    ids = []
    for chunk in re.findall(SPLIT_PATTERN, text):
        rest = chunk.encode()
        while rest:
            length = next(n for n in range(len(rest), 0, -1) if rest[:n] in ranks)
            ids.append(ranks[rest[:length]])
            rest = rest[length:]
    return ids


@misconception(
    "tokenizer.bpe_encode",
    "leftmost pair first",
    "You join the first neighbours that have a rank. Of all that could be joined, the lowest "
    "rank comes first, wherever it stands.",
)
def leftmost_first(text, ranks):
    return [
        i for parts in split_bytes(text) for i in join(parts, ranks, lambda places, _: places[0])
    ]


@misconception(
    "tokenizer.bpe_encode",
    "highest rank first",
    "You join the neighbours of highest rank. The rank tells when a merge was learned, and "
    "encoding repeats the merges in that order: lowest first.",
)
def highest_first(text, ranks):
    return [
        i
        for parts in split_bytes(text)
        for i in join(parts, ranks, lambda places, found: places[found.index(max(found))])
    ]


@misconception(
    "tokenizer.bpe_encode",
    "rightmost of equals",
    "If the lowest rank stands at several places, you take the last one. aaa then becomes a "
    "aa, and training made aa a of it.",
)
def rightmost_of_equals(text, ranks):
    def last(places, found):
        return max(i for i, rank in zip(places, found, strict=True) if rank == min(found))

    return [i for parts in split_bytes(text) for i in join(parts, ranks, last)]


@misconception(
    "tokenizer.bpe_encode",
    "no cuts",
    "You encode the text as one chunk. Training never joined over a stop or a space, so "
    "encoding must not do it either.",
)
def encode_without_cuts(text, ranks):
    parts = [bytes([b]) for b in text.encode()]
    return join(parts, ranks, lambda places, found: places[found.index(min(found))])


@misconception(
    "tokenizer.bpe_encode",
    "one pass over the merges",
    "You go once through the ranks and join what you find. A later join can bring neighbours "
    "together that have a lower rank; look again after each one.",
)
def one_pass(text, ranks):
    ids = []
    for parts in split_bytes(text):
        for token in sorted(ranks, key=lambda token: ranks[token]):
            i = 0
            while i < len(parts) - 1:
                if parts[i] + parts[i + 1] == token:
                    parts[i : i + 2] = [token]
                i += 1
        ids += [ranks[part] for part in parts]
    return ids


@misconception(
    "tokenizer.bpe_encode",
    "look up whole chunks",
    "You look the bytes of a whole chunk up at once and use the single bytes if they are not "
    "there. A token is found by joining neighbours, step by step.",
)
def whole_chunks(text, ranks):
    ids = []
    for chunk in re.findall(SPLIT_PATTERN, text):
        code = chunk.encode()
        ids += [ranks[code]] if code in ranks else list(code)
    return ids


@misconception(
    "tokenizer.bpe_encode",
    "the place for the rank",
    "You number the tokens by their place in the dictionary. The id is the value that stands "
    "there; the order of the keys means nothing.",
)
def place_for_rank(text, ranks):
    return longest_by_rank(text, {token: place for place, token in enumerate(ranks)})


def longest_by_rank(text, ranks):
    def lowest(places, found):
        return places[found.index(min(found))]

    return [i for parts in split_bytes(text) for i in join(parts, ranks, lowest)]


# --- assign_ids -------------------------------------------------------------------------------


@misconception(
    "tokenizer.assign_ids",
    "markers and letters in one dictionary",
    "A dictionary keeps the later of two equal keys. The letter A of a text overwrites the "
    "marker A: two things share one id, and the first id is never used.",
    stub=True,
)
def one_dictionary(markers, text):
    tokens = [*markers, *sorted(set(text))]
    id_of = {token: i for i, token in enumerate(tokens)}
    marker_id = {marker: id_of[marker] for marker in markers}
    char_id = {c: id_of[c] for c in sorted(set(text))}
    return marker_id, char_id


@misconception(
    "tokenizer.assign_ids",
    "letters lose their id",
    "You take the letters of the markers out of the text's characters. Alan can then not be "
    "written: the A of the poem is unknown.",
)
def letters_dropped(markers, text):
    characters = sorted(set(text) - set(markers))
    marker_id = {marker: i for i, marker in enumerate(markers)}
    return marker_id, {c: i for i, c in enumerate(characters, start=len(markers))}


@misconception(
    "tokenizer.assign_ids",
    "letters share the marker's id",
    "You keep the marker's id and give it to the letter, too. A text that contains A now "
    "forges a marker, and nobody can tell where the author begins.",
)
def shared_id(markers, text):
    id_of = {marker: i for i, marker in enumerate(markers)}
    for c in sorted(set(text)):
        id_of.setdefault(c, len(id_of))
    return {marker: id_of[marker] for marker in markers}, {c: id_of[c] for c in set(text)}


@misconception(
    "tokenizer.assign_ids",
    "refuse such texts",
    "You raise an error if a text contains a marker's letter. That is better than silence, "
    "but the poem by Alan is a poem: ids can be found for all texts.",
)
def refuse(markers, text):
    if set(markers) & set(text):
        raise ValueError("a marker occurs in the text")
    return one_dictionary(markers, text)


@misconception(
    "tokenizer.assign_ids",
    "begin at 0 twice",
    "Both dictionaries begin at 0, so the first marker and the first character have the same "
    "id. A row of ids does not say which dictionary an id comes from.",
)
def zero_twice(markers, text):
    marker_id = {marker: i for i, marker in enumerate(markers)}
    return marker_id, {c: i for i, c in enumerate(sorted(set(text)))}


@misconception(
    "tokenizer.assign_ids",
    "characters in order of appearance",
    "You number the characters as they come in the text. The contract asks for Unicode order, "
    "so that the same characters always get the same ids.",
)
def order_of_appearance(markers, text):
    marker_id = {marker: i for i, marker in enumerate(markers)}
    return marker_id, {c: i for i, c in enumerate(dict.fromkeys(text), start=len(markers))}


# --- vocabulary_costs -------------------------------------------------------------------------


def costs(per_token=513, large_base=None, percent=1, tied_copies=1):
    tables = 11_868 * per_token
    layers = 12_466_268 - tables
    large = 100_000 * per_token
    tied = 8_000_000 * tied_copies
    return {
        "tables": tables,
        "layers": layers,
        "share": percent * tables / (tables + layers),
        "large_tables": large,
        "large_share": percent * large / (large + (large_base or layers)),
        "tied_share": percent * tied / (tied + 460_800),
        "equal": 460_800 / (80 * tied_copies),
    }


@misconception(
    "tokenizer.vocabulary_costs",
    "forget the head",
    "You count the embedding only. At the other end the head has a row for each token, too, "
    "and an offset.",
)
def forget_the_head():
    return costs(per_token=256)


@misconception(
    "tokenizer.vocabulary_costs",
    "forget the offsets",
    "You count 2C numbers for each token. The head also adds one offset for each token: 2C + 1.",
)
def forget_the_offsets():
    return costs(per_token=512)


@misconception(
    "tokenizer.vocabulary_costs",
    "two offsets",
    "You count an offset in the embedding, too. It only picks rows; the offsets belong to the "
    "scores that the head gives.",
)
def two_offsets():
    return costs(per_token=514)


@misconception(
    "tokenizer.vocabulary_costs",
    "divide by the layers",
    "You divide the vocabulary by the layers. A share is a part of the whole: vocabulary and "
    "layers together.",
)
def divide_by_layers():
    right = costs()
    return right | {
        "share": right["tables"] / right["layers"],
        "large_share": 51_300_000 / right["layers"],
        "tied_share": 8_000_000 / 460_800,
    }


@misconception(
    "tokenizer.vocabulary_costs",
    "add to the old model",
    "You put the large vocabulary beside the whole old model, which has its old vocabulary in "
    "it still. Only the layers stay.",
)
def add_to_the_old():
    return costs(large_base=12_466_268)


@misconception(
    "tokenizer.vocabulary_costs",
    "percent",
    "Your shares are in percent. Here a share lies between 0 and 1: 0.5 is half.",
)
def in_percent():
    return costs(percent=100)


@misconception(
    "tokenizer.vocabulary_costs",
    "count the shared matrix twice",
    "You count the shared matrix for the embedding and for the head. It is one matrix that "
    "both use: that is what sharing saves.",
)
def shared_twice():
    return costs(tied_copies=2)


# --- loses_text -------------------------------------------------------------------------------


@misconception(
    "tokenizer.loses_text",
    "round trip only",
    "You test only that the text comes back. A forged <|bos|> does come back, as the text "
    "<|bos|>. Only the ids show that it was a marker on the way.",
)
def round_trip_only(encode, decode, vocab):
    every = "".join(vocab[8:])
    texts = ["", *every, every, every[::-1], 2000 * every[:9], "".join(2 * c for c in every)]
    return any(decode(encode(text)) != text for text in [*texts, *SPECIAL_TOKENS])


@misconception(
    "tokenizer.loses_text",
    "each character alone",
    "You try texts of one character. A tokenizer that loses order or doubled characters, or "
    "cuts long texts, brings each of them back.",
)
def each_alone(encode, decode, vocab):
    texts = [*vocab[8:], *SPECIAL_TOKENS]
    return any(decode(encode(text)) != text or min(encode(text)) < 8 for text in texts)


@misconception(
    "tokenizer.loses_text",
    "compare lengths",
    "You compare the number of ids with the number of characters. Ids can be as many as they "
    "should, and still mean other characters.",
)
def compare_lengths(encode, decode, vocab):
    every = "".join(vocab[8:])
    texts = ["", *every, every, 2000 * every[:9], "".join(2 * c for c in every)]
    texts += [name + every for name in SPECIAL_TOKENS] + list(SPECIAL_TOKENS)
    return any(len(encode(text)) != len(text) for text in texts)


@misconception(
    "tokenizer.loses_text",
    "call everything wrong",
    'Your answer is True for right tokenizers, too. Perhaps you expect the text "<|bos|>" not '
    "to come back: it does, as seven characters. Or you use characters that are not in "
    "`vocab`.",
)
def names_must_change(encode, decode, vocab):
    every = "".join(vocab[8:])
    texts = ["", *every, every, every[::-1], 2000 * every[:9], "".join(2 * c for c in every)]
    return any(decode(encode(text)) != text for text in texts) or any(
        decode(encode(name)) == name for name in SPECIAL_TOKENS
    )


@misconception(
    "tokenizer.loses_text",
    "all characters in one text",
    "You try one text with all characters. What goes wrong with an empty text, a long one, "
    "doubled characters or names of special tokens does not show in it.",
)
def one_text(encode, decode, vocab):
    every = "".join(vocab[8:])
    return decode(encode(every)) != every


@misconception(
    "tokenizer.loses_text",
    "True for a right tokenizer",
    "Your answer is the wrong way round: True says that there *is* a bug.",
)
def wrong_way_round(encode, decode, vocab):
    return not finds(encode, decode, vocab)


@misconception(
    "tokenizer.loses_text",
    "call everything right",
    "Your answer is False for every tokenizer. Perhaps you try texts that are too easy: what "
    "would go wrong with an odd one?",
)
def call_all_right(encode, decode, vocab):
    return False


@misconception(
    "tokenizer.loses_text",
    "try one special token",
    "You try the spelling of one special token. Each of the eight could be the one that a "
    "text can forge.",
)
def one_special(encode, decode, vocab):
    return finds(encode, decode, vocab, [BOS, "春" + BOS])


def finds(encode, decode, vocab, names=None):
    every = "".join(vocab[8:])
    names = names or [*SPECIAL_TOKENS, *(vocab[-1] + name for name in SPECIAL_TOKENS)]
    names = [name for name in names if set(name) <= set(every)]
    texts = ["", *every, every, every[::-1], 2000 * every[:9], "".join(2 * c for c in every)]
    return any(decode(encode(s)) != s or min(encode(s), default=8) < 8 for s in [*texts, *names])
