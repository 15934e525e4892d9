"""Wrong answers to the tasks of chapter 01."""

import random
import re
from collections import Counter
from itertools import combinations, groupby, pairwise

import numpy as np

from nanopoet.checker.trial import misconception
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


@misconception(
    "tokenizer.count_characters",
    "skip white space",
    "You leave out spaces and line breaks. Line breaks are part of a poem, and a text that "
    "comes back without them is another text.",
)
def skip_space(text):
    return dict(Counter(c for c in text if not c.isspace()))


@misconception(
    "tokenizer.count_characters",
    "skip stops",
    "You leave out stops and commas. They are the commonest characters of all, and a poem "
    "without them is another poem.",
)
def skip_stops(text):
    return dict(Counter(c for c in text if c not in "，。、！？；："))


@misconception(
    "tokenizer.count_characters",
    "strip the ends",
    "You strip the text before you count. White space at its ends is text like any other.",
)
def count_stripped(text):
    return dict(Counter(text.strip()))


@misconception(
    "tokenizer.count_characters",
    "Chinese characters only",
    "You count Chinese characters only. A character is whatever `for c in text` gives: "
    "letters, stops and white space, too.",
)
def chinese_only(text):
    return dict(Counter(c for c in text if "\u4e00" <= c <= "\u9fff"))


@misconception(
    "tokenizer.count_characters",
    "capitals as small letters",
    'You make small letters of capitals. "a" and "A" are two characters; after that, the '
    "text cannot come back.",
)
def count_lower(text):
    return dict(Counter(text.lower()))


@misconception(
    "tokenizer.count_characters",
    "code points for characters",
    "Your keys are code points, numbers that ord() gives. The keys should be the characters"
    " themselves.",
)
def count_code_points(text):
    return dict(Counter(map(ord, text)))


@misconception(
    "tokenizer.count_characters",
    "pairs instead of a dictionary",
    "most_common() gives a list of pairs. The contract asks for a dictionary, and the "
    "Counter itself is one.",
)
def list_of_pairs(text):
    return Counter(text).most_common()


@misconception(
    "tokenizer.count_characters",
    "shares instead of counts",
    "You divide by the length of the text. The contract asks how often, a whole number, and"
    " not for a share.",
)
def shares(text):
    return {c: count / len(text) for c, count in Counter(text).items()}


@misconception(
    "tokenizer.count_characters",
    "the last character is missing",
    "Your loop ends one place too early, so the last character of the text is not counted.",
)
def without_the_last(text):
    return dict(Counter(text[:-1]))


@misconception(
    "tokenizer.count_characters",
    "one too many",
    "Your count starts with 1 and then adds 1 for the first occurrence, too. All counts are"
    " too large by one.",
)
def one_too_many_each(text):
    return {c: count + 1 for c, count in Counter(text).items()}


@misconception(
    "tokenizer.count_characters",
    "lose line breaks",
    "You go through the lines. A line break is a character, too, and none of the lines has it.",
)
def count_lines(text):
    return dict(Counter("".join(text.splitlines())))


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


@misconception(
    "tokenizer.build_vocab",
    "min_count in each text",
    "You leave out what is rare in a single text. Counts are summed over all texts first: "
    "once in each of a thousand poems is a thousand times.",
)
def min_count_in_each(texts, min_count=1):
    counts = Counter()
    for text in texts:
        counts.update({c: n for c, n in Counter(text).items() if n >= min_count})
    return [*SPECIAL_TOKENS, *sorted(counts, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "count a space between texts",
    "You join the texts by a space before you count. It gets an id although no text "
    "contains it, or its count is too high.",
)
def count_space(texts, min_count=1):
    counts = Counter(" ".join(texts))
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "leave out white space and stops",
    "You take letters only. Stops, spaces and line breaks stand in the poems, so they need ids.",
)
def letters_only(texts, min_count=1):
    counts = Counter(c for text in texts for c in text if c.isalpha())
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "leave out white space",
    "You leave out spaces and line breaks, in the text or at its ends. They are characters "
    "of a poem and need ids.",
)
def no_space(texts, min_count=1):
    counts = Counter(c for text in texts for c in text if not c.isspace())
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "strip each text",
    "You strip the texts before you count. White space at the ends of a text is text like "
    "any other.",
)
def strip_each(texts, min_count=1):
    counts = Counter(c for text in texts for c in text.strip())
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "capitals as small letters",
    "You make small letters of capitals. Then no capital has an id, and every one becomes unknown.",
)
def vocab_lower(texts, min_count=1):
    counts = Counter("".join(texts).lower())
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "order of appearance",
    "Your characters stand in the order in which you met them. An id should be a rank: the "
    "commonest first.",
)
def vocab_as_met(texts, min_count=1):
    counts = Counter("".join(texts))
    return [*SPECIAL_TOKENS, *(c for c in counts if counts[c] >= min_count)]


@misconception(
    "tokenizer.build_vocab",
    "the last text only",
    "You make a new count for each text, and only the last one is left at the end. Counts "
    "are summed over all texts.",
)
def last_text_only(texts, min_count=1):
    counts = Counter()
    for text in texts:
        counts = Counter(text)
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "count whole texts",
    "You count texts instead of their characters: Counter(texts) takes each text as one "
    "thing. Go through the characters of each.",
)
def count_whole_texts(texts, min_count=1):
    counts = Counter(texts)
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "crash without characters",
    "Your code needs one character or more, such as max() of the counts. Without texts the "
    "special tokens are the vocabulary.",
)
def crash_without_characters(texts, min_count=1):
    counts = Counter("".join(texts))
    max(counts.values())
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "another order of special tokens",
    "Your special tokens stand in another order. Their ids are their places in "
    "SPECIAL_TOKENS, 0 … 7.",
)
def sorted_special(texts, min_count=1):
    counts = Counter("".join(texts))
    kept = [c for c in counts if counts[c] >= min_count]
    return [*sorted(SPECIAL_TOKENS), *sorted(kept, key=lambda c: (-counts[c], c))]


@misconception(
    "tokenizer.build_vocab",
    "a dictionary instead of a list",
    "You return a dictionary from tokens to ids. The vocabulary is the list: the place in "
    "it is the id.",
)
def vocab_dictionary(texts, min_count=1):
    return {token: i for i, token in enumerate(ignore_min_count(texts))}


@misconception(
    "tokenizer.build_vocab",
    "ask a generator for its length",
    "A generator has no length and no places, so len(texts) and texts[i] fail. Go through "
    "it with `for`, once.",
)
def length_of_texts(texts, min_count=1):
    counts = Counter(c for i in range(len(texts)) for c in texts[i])
    kept = [c for c in counts if counts[c] >= min_count]
    return [*SPECIAL_TOKENS, *sorted(kept, key=lambda c: (-counts[c], c))]


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
    "a copy for each character",
    "`ids = ids + [...]` copies all ids so far, `text = text[1:]` all that is left, once per "
    "character. Ten million characters need fifty million million copies; one pass needs none.",
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


@misconception(
    "tokenizer.encode",
    "look up <|unk|>",
    "You look the unknown token up in `stoi`. The id for unknown characters is the argument"
    " `unk`; `stoi` need not have such a key.",
)
def look_up_unk(text, stoi, unk):
    return [stoi.get(c, stoi["<|unk|>"]) for c in text]


@misconception(
    "tokenizer.encode",
    "keep unknown characters",
    "You write unknown characters into `stoi`, as setdefault() does. The next text finds "
    "them there, and the vocabulary is another one.",
)
def keep_unknown(text, stoi, unk):
    return [stoi.setdefault(c, unk) for c in text]


@misconception(
    "tokenizer.encode",
    "cut at white space",
    "You cut the text at white space and look the pieces up. Chinese has no spaces between "
    "words; go through the characters.",
)
def encode_words(text, stoi, unk):
    return [stoi.get(word, unk) for word in text.split()]


@misconception(
    "tokenizer.encode",
    "strip the ends",
    "You strip the text. White space at its ends is text like any other: a decoded text "
    "must have it again.",
)
def encode_stripped(text, stoi, unk):
    return [stoi.get(c, unk) for c in text.strip()]


@misconception(
    "tokenizer.encode",
    "lose white space",
    "You skip white space. Spaces and line breaks are characters like any other: without "
    "them, the text cannot come back.",
)
def lose_space(text, stoi, unk):
    return [stoi.get(c, unk) for c in text if not c.isspace()]


@misconception(
    "tokenizer.encode",
    "capitals as small letters",
    "You make small letters of capitals. They are other characters with other ids.",
)
def encode_lower(text, stoi, unk):
    return [stoi.get(c, unk) for c in text.lower()]


@misconception(
    "tokenizer.encode",
    "one unknown for several",
    "You write one id for several unknown characters in a row. Then a line of five "
    "characters has fewer than five ids.",
)
def one_for_several(text, stoi, unk):
    ids = [stoi.get(c, unk) for c in text]
    return [i for k, i in enumerate(ids) if not (k and i == unk == ids[k - 1])]


@misconception(
    "tokenizer.encode",
    "frame the text",
    "You put <|bos|> in front and <|end|> behind. Markers are no part of encoding a text; "
    "render_poem puts them in.",
)
def frame_the_text(text, stoi, unk):
    ids = [stoi.get(c, unk) for c in text]
    return [stoi.get("<|bos|>", unk), *ids, stoi.get("<|end|>", unk)]


@misconception(
    "tokenizer.encode",
    "lose line breaks",
    "You skip line breaks. They are characters like any other; in a pattern, the dot does "
    "not find them.",
)
def lose_line_breaks(text, stoi, unk):
    return [stoi.get(c, unk) for c in re.findall(".", text)]


@misconception(
    "tokenizer.encode",
    "None for unknown characters",
    "stoi.get(c) without a second argument gives None. The id of an unknown character is `unk`.",
)
def none_for_unknown(text, stoi, unk):
    return [stoi.get(c) for c in text]


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
    "a text in spite of a wrong id",
    "You leave ids out that no token has, or write something in their place. A model and a "
    "vocabulary that do not fit together then give a wrong text, and nobody notices.",
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


@misconception(
    "tokenizer.decode",
    "assert the range",
    "assert raises AssertionError instead of ValueError, and `python -O` leaves it out. It "
    "is for your own errors; those of the caller are raised.",
)
def assert_the_range(ids, vocab):
    ids = list(ids)
    assert all(0 <= i < len(vocab) for i in ids)
    return "".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "leave errors to the dictionary",
    "You look the id up in a dictionary, which raises KeyError. The caller was promised "
    "ValueError.",
)
def leave_it_to_the_dictionary(ids, vocab):
    token_of = dict(enumerate(vocab))
    return "".join(token_of[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "raise Exception",
    "You raise Exception. Whoever catches ValueError, as the contract says, does not catch it.",
)
def raise_exception(ids, vocab):
    ids = list(ids)
    if any(not 0 <= i < len(vocab) for i in ids):
        raise Exception("no such token")
    return "".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "raise IndexError",
    "You test the ids, and raise IndexError. The contract asks for ValueError.",
)
def raise_index_error(ids, vocab):
    ids = list(ids)
    if any(not 0 <= i < len(vocab) for i in ids):
        raise IndexError("no such token")
    return "".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "forget large ids",
    "You refuse negative ids only. A large one gives IndexError instead of ValueError.",
)
def forget_large(ids, vocab):
    ids = list(ids)
    if any(i < 0 for i in ids):
        raise ValueError("no such token")
    return "".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "ask an array whether it is empty",
    "`if not ids` works for a list. NumPy does not say whether an array of several numbers "
    "is true, and raises ValueError.",
)
def is_it_empty(ids, vocab):
    if not ids:
        return ""
    ids = list(ids)
    if any(not 0 <= i < len(vocab) for i in ids):
        raise ValueError("no such token")
    return "".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "ask a generator for its length",
    "A generator has no length and no places, so len(ids) and ids[k] fail. Go through it "
    "with `for`, once.",
)
def ask_for_the_length(ids, vocab):
    tokens = []
    for k in range(len(ids)):
        if not 0 <= ids[k] < len(vocab):
            raise ValueError(f"no token {ids[k]}")
        tokens.append(vocab[ids[k]])
    return "".join(tokens)


@misconception(
    "tokenizer.decode",
    "return a list",
    "You return a list of tokens. A text is asked for: join them.",
)
def decode_to_list(ids, vocab):
    ids = list(ids)
    if any(not 0 <= i < len(vocab) for i in ids):
        raise ValueError("no such token")
    return [vocab[i] for i in ids]


@misconception(
    "tokenizer.decode",
    "stop at <|end|>",
    "You stop at <|end|>. What a model writes behind it is then hidden, and ids without a "
    "token are not refused there.",
)
def stop_at_end(ids, vocab):
    ids = list(ids)
    if any(not 0 <= i < len(vocab) for i in ids):
        raise ValueError("no such token")
    tokens = [vocab[i] for i in ids]
    return "".join(tokens[: tokens.index(END)] if END in tokens else tokens)


@misconception(
    "tokenizer.decode",
    "hide padding",
    "You leave <|pad|> out. A special token appears by name, each of them, so that you see "
    "what the row holds.",
)
def hide_padding(ids, vocab):
    ids = list(ids)
    if any(not 0 <= i < len(vocab) for i in ids):
        raise ValueError("no such token")
    return "".join(vocab[i] for i in ids if vocab[i] != "<|pad|>")


@misconception(
    "tokenizer.decode",
    "refuse id 0",
    "You refuse the id 0. Ids begin at 0, so it is the first token.",
)
def refuse_zero(ids, vocab):
    ids = list(ids)
    if any(not 0 < i < len(vocab) for i in ids):
        raise ValueError("no such token")
    return "".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "refuse the last id",
    "You refuse the id len(vocab) - 1. It is that of the last token.",
)
def refuse_the_last(ids, vocab):
    ids = list(ids)
    if any(not 0 <= i < len(vocab) - 1 for i in ids):
        raise ValueError("no such token")
    return "".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "plain ints only",
    "You ask isinstance(i, int). NumPy's integers are no ints, and ids of the corpus come "
    "as NumPy arrays.",
)
def plain_ints_only(ids, vocab):
    ids = list(ids)
    if any(not isinstance(i, int) or not 0 <= i < len(vocab) for i in ids):
        raise ValueError("no such token")
    return "".join(vocab[i] for i in ids)


@misconception(
    "tokenizer.decode",
    "strip the tokens",
    "You strip the tokens or the text. A space is a token like any other, and it was in the text.",
)
def strip_tokens(ids, vocab):
    ids = list(ids)
    if any(not 0 <= i < len(vocab) for i in ids):
        raise ValueError("no such token")
    return "".join(vocab[i].strip() for i in ids)


@misconception(
    "tokenizer.decode",
    "hide the first eight ids",
    "You leave out ids below 8. Which tokens have them, says `vocab`; and special tokens "
    "appear by name.",
)
def hide_first_eight(ids, vocab):
    ids = list(ids)
    if any(not 0 <= i < len(vocab) for i in ids):
        raise ValueError("no such token")
    return "".join(vocab[i] for i in ids if i >= 8)


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


@misconception(
    "tokenizer.render_poem",
    "form behind the title",
    "You put the title before the form. The order is author, form, title, content, as the "
    "model will be asked.",
)
def form_behind_title(tokenizer, poem):
    return frame(tokenizer, poem, ("author", "title", "form", "content"))


@misconception(
    "tokenizer.render_poem",
    "the order of the dictionary",
    "You go through tokenizer.special in its own order. A dictionary of names and ids says "
    "nothing about the order in a row.",
)
def order_of_special(tokenizer, poem):
    ids = []
    for token, i in tokenizer.special.items():
        field = token[2:-2]
        if field in (*FIELDS, "bos", "end"):
            ids += [i, *map(int, tokenizer.encode(getattr(poem, field, "")))]
    return ids


@misconception(
    "tokenizer.render_poem",
    "the order of the ids",
    "You sort the special tokens by their ids. Ids can be any; the order in a row is fixed.",
)
def order_of_ids(tokenizer, poem):
    ids = []
    for token, i in sorted(tokenizer.special.items(), key=lambda item: item[1]):
        field = token[2:-2]
        if field in (*FIELDS, "bos", "end"):
            ids += [i, *map(int, tokenizer.encode(getattr(poem, field, "")))]
    return ids


@misconception(
    "tokenizer.render_poem",
    "all markers first",
    "You write all markers and then all texts. Each field follows its own marker, or nobody"
    " knows where it begins.",
)
def all_markers_first(tokenizer, poem):
    ids = [tokenizer.special[token] for token in SPECIAL_TOKENS[2:-1]]
    for field in FIELDS:
        ids += map(int, tokenizer.encode(getattr(poem, field)))
    return [*ids, tokenizer.special[END]]


@misconception(
    "tokenizer.render_poem",
    "<|end|> behind each field",
    "You end each field with <|end|>. It says that the poem is over, and stands once, "
    "behind the content.",
)
def end_each_field(tokenizer, poem):
    ids = [tokenizer.special[BOS]]
    for field in FIELDS:
        ids += [
            tokenizer.special[f"<|{field}|>"],
            *map(int, tokenizer.encode(getattr(poem, field))),
        ]
        ids.append(tokenizer.special[END])
    return ids


@misconception(
    "tokenizer.render_poem",
    "markers on both sides",
    "You put the marker in front of a field and behind it. The next marker already says "
    "that the field is over.",
)
def markers_on_both_sides(tokenizer, poem):
    ids = [tokenizer.special[BOS]]
    for field in FIELDS:
        marker = tokenizer.special[f"<|{field}|>"]
        ids += [marker, *map(int, tokenizer.encode(getattr(poem, field))), marker]
    return [*ids, tokenizer.special[END]]


@misconception(
    "tokenizer.render_poem",
    "forget the form",
    "Your row has no form. The frame has four fields: author, form, title and content.",
)
def forget_the_form(tokenizer, poem):
    return frame(tokenizer, poem, ("author", "title", "content"))


@misconception(
    "tokenizer.render_poem",
    "add an array to a list",
    "You add what `encode` gives with +. A list and an array are not joined by that: NumPy "
    "tries to add number by number.",
)
def add_an_array(tokenizer, poem):
    ids = [tokenizer.special[BOS]]
    for field in FIELDS:
        ids = ids + [tokenizer.special[f"<|{field}|>"]] + tokenizer.encode(getattr(poem, field))  # noqa: RUF005
    return [*ids, tokenizer.special[END]]


@misconception(
    "tokenizer.render_poem",
    "a prompt instead of a poem",
    "Your row ends at <|content|>. That is a prompt; a framed poem has its content, too.",
)
def only_a_prompt(tokenizer, poem):
    return [*frame(tokenizer, poem, FIELDS[:3])[:-1], tokenizer.special["<|content|>"]]


@misconception(
    "tokenizer.render_poem",
    "strip the fields",
    "You strip the fields. White space is text, too: what the corpus has is what the model learns.",
)
def strip_the_fields(tokenizer, poem):
    return frame(tokenizer, type(poem)(*(getattr(poem, field).strip() for field in FIELDS)))


@misconception(
    "tokenizer.render_poem",
    "leave out the id 0",
    "You drop ids that are false. The id 0 is false in Python, and a marker may have it.",
)
def leave_out_zero(tokenizer, poem):
    return [i for i in frame(tokenizer, poem) if i]


@misconception(
    "tokenizer.render_poem",
    "no markers between",
    "You join the ids of the four fields without their markers. Nobody can tell where the "
    "author ends.",
)
def no_markers(tokenizer, poem):
    ids = [i for field in FIELDS for i in map(int, tokenizer.encode(getattr(poem, field)))]
    return [tokenizer.special[BOS], *ids, tokenizer.special[END]]


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


@misconception(
    "tokenizer.count_pairs",
    "the last id before the first",
    "You pair the first id with the last one: chunk[-1] is the end of the chunk. A chunk is"
    " no ring; n ids have n - 1 pairs.",
)
def in_a_ring(chunks):
    pairs = Counter()
    for chunk, count in chunks.items():
        for i in range(len(chunk)):
            pairs[chunk[i - 1], chunk[i]] += count
    return pairs


@misconception(
    "tokenizer.count_pairs",
    "look behind the end",
    "At the last place you ask for chunk[i + 1], and there is none: IndexError. n ids have "
    "n - 1 pairs.",
)
def pair_behind_the_end(chunks):
    pairs = Counter()
    for chunk, count in chunks.items():
        for i in range(len(chunk)):
            pairs[chunk[i], chunk[i + 1]] += count
    return pairs


@misconception(
    "tokenizer.count_pairs",
    "1 for the first occurrence",
    "You start with 1 when a pair is new, and add the count of the chunk only later. The "
    "first chunk counts as often as it occurs, too.",
)
def one_at_first(chunks):
    pairs = {}
    for chunk, count in chunks.items():
        for pair in pairwise(chunk):
            pairs[pair] = pairs[pair] + count if pair in pairs else 1
    return pairs


@misconception(
    "tokenizer.count_pairs",
    "one too many",
    "Your count starts with 1 before anything was counted: get(pair, 1). All counts are too"
    " large by one.",
)
def one_pair_too_many(chunks):
    return {pair: count + 1 for pair, count in right_count(chunks).items()}


@misconception(
    "tokenizer.count_pairs",
    "return in the loop",
    "You return inside the loop, after the first chunk. The other chunks are never looked at.",
)
def first_chunk_only(chunks):
    return right_count(dict(list(chunks.items())[:1]))


@misconception(
    "tokenizer.count_pairs",
    "count single ids",
    "You count the ids themselves. Byte-pair encoding asks which two stand side by side.",
)
def count_ids(chunks):
    ids = Counter()
    for chunk, count in chunks.items():
        for i in chunk:
            ids[i] += count
    return ids


@misconception(
    "tokenizer.count_pairs",
    "chunks of two ids are too short",
    "You skip chunks of two ids. They have one pair.",
)
def skip_twos(chunks):
    return right_count({chunk: count for chunk, count in chunks.items() if len(chunk) > 2})


@misconception(
    "tokenizer.count_pairs",
    "stop at a short chunk",
    "You leave the loop at a chunk without pairs. The chunks after it have pairs, too: skip"
    " it and go on.",
)
def stop_at_short(chunks):
    pairs = Counter()
    for chunk, count in chunks.items():
        if len(chunk) < 2:
            break
        pairs += right_count({chunk: count})
    return pairs


@misconception(
    "tokenizer.count_pairs",
    "all pairs of a chunk",
    "You pair each id with all later ones. Only neighbours make a pair.",
)
def all_combinations(chunks):
    pairs = Counter()
    for chunk, count in chunks.items():
        for pair in combinations(chunk, 2):
            pairs[pair] += count
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


@misconception(
    "tokenizer.merge",
    "use an id twice",
    "You merge a pair although its first id has just been merged with the one before. 1 1 1"
    " becomes 9 1: what is used is gone.",
)
def use_an_id_twice(ids, pair, new_id):
    out, before = [], None
    for i in ids:
        if (before, i) == pair:
            out[-1] = new_id
        else:
            out.append(i)
        before = i
    return tuple(out)


@misconception(
    "tokenizer.merge",
    "a list is no tuple",
    "You compare a piece of `ids` with `pair`. If `ids` is a list, the piece is one, too, "
    "and [1, 2] == (1, 2) is False.",
)
def list_is_no_tuple(ids, pair, new_id):
    return right_merge(ids, pair, new_id) if isinstance(ids, tuple) else tuple(ids)


@misconception(
    "tokenizer.merge",
    "every second place",
    "You cut the row into twos and look at each. A pair may also begin at place 1, 3 or 5.",
)
def merge_every_second(ids, pair, new_id):
    out = []
    for i in range(0, len(ids), 2):
        out += [new_id] if tuple(ids[i : i + 2]) == pair else ids[i : i + 2]
    return tuple(out)


@misconception(
    "tokenizer.merge",
    "look at the first id only",
    "You merge where the first id stands, whatever follows. Both ids must be those of the pair.",
)
def first_id_only(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        found = ids[i] == pair[0] and i + 1 < len(ids)
        out.append(new_id if found else ids[i])
        i += 2 if found else 1
    return tuple(out)


@misconception(
    "tokenizer.merge",
    "miss a pair at the end",
    "Your loop does not look at the last two ids as a pair.",
)
def miss_the_last_pair(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        found = i < len(ids) - 2 and (ids[i], ids[i + 1]) == pair
        out.append(new_id if found else ids[i])
        i += 2 if found else 1
    return tuple(out)


@misconception(
    "tokenizer.merge",
    "replace each id of the pair",
    "You replace the ids of the pair wherever they stand. Only the two side by side, in "
    "this order, are the pair.",
)
def replace_each(ids, pair, new_id):
    return tuple(new_id if i in pair else i for i in ids)


@misconception(
    "tokenizer.merge",
    "keep the first id",
    "You write the first id of the pair and the new one. The new id stands for both.",
)
def keep_the_first(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        found = tuple(ids[i : i + 2]) == pair
        out += [ids[i], new_id] if found else [ids[i]]
        i += 2 if found else 1
    return tuple(out)


@misconception(
    "tokenizer.merge",
    "ids are bytes",
    "You make bytes of the ids. From 256 on an id does not fit into a byte, and new ids "
    "begin there.",
)
def ids_are_bytes(ids, pair, new_id):
    return tuple(bytes(ids).replace(bytes(pair), bytes([new_id])))


@misconception(
    "tokenizer.merge",
    "use up the list that came in",
    "You take ids out of the list that you were given. It is empty then, and whoever called"
    " you still needs it.",
)
def use_up_the_list(ids, pair, new_id):
    row, out = ids if isinstance(ids, list) else list(ids), []
    while row:
        i = row.pop(0)
        if row and (i, row[0]) == pair:
            row.pop(0)
            i = new_id
        out.append(i)
    return tuple(out)


@misconception(
    "tokenizer.merge",
    "the first id of nothing",
    "You begin with ids[0]. A row may be empty, and then there is none: IndexError.",
)
def first_of_nothing(ids, pair, new_id):
    assert ids[0] is not None
    return right_merge(ids, pair, new_id)


@misconception(
    "tokenizer.merge",
    "0 is no id",
    "You ask `if id`. The id 0 is false in Python, so the byte 0 gets lost.",
)
def zero_is_no_id(ids, pair, new_id):
    out, before = [], None
    for i in ids:
        if before and (before, i) == pair:
            out.append(new_id)
            before = None
        else:
            out += [before] if before else []
            before = i
    return tuple([*out, before] if before else out)


@misconception(
    "tokenizer.merge",
    "the same object",
    "You compare with `is`. It asks for the same object, which equal numbers above 256 need"
    " not be: use ==.",
)
def the_same_object(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        found = i + 1 < len(ids) and ids[i] is pair[0] and ids[i + 1] is pair[1]
        out.append(new_id if found else ids[i])
        i += 2 if found else 1
    return tuple(out)


@misconception(
    "tokenizer.merge",
    "a call for each id",
    "Your function calls itself for the rest of the row. Python allows about a thousand "
    "calls inside each other, and a row may be longer.",
)
def call_for_each(ids, pair, new_id):
    if len(ids) < 2:
        return tuple(ids)
    if tuple(ids[:2]) == pair:
        return (new_id, *call_for_each(ids[2:], pair, new_id))
    return (ids[0], *call_for_each(ids[1:], pair, new_id))


# --- train_bpe --------------------------------------------------------------------------------


def train(chunks, n_merges, choose, least=2, count=right_count, replace=right_merge, turned=False):
    token_of = [bytes([i]) for i in range(256)]
    for _ in range(n_merges):
        pairs = count(chunks)
        pair = choose(pairs) if pairs else None
        if pairs.get(pair, 0) < least:
            break
        chunks = {replace(chunk, pair, len(token_of)): n for chunk, n in chunks.items()}
        a, b = pair[::-1] if turned else pair
        token_of.append(token_of[a] + token_of[b])
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


@misconception(
    "tokenizer.train_bpe",
    "ties by bytes",
    "Of equally common pairs you take the one whose bytes come first. The rule compares "
    "ids: a token learned early has a small id, whatever its bytes.",
)
def bpe_ties_by_bytes(text, n_merges):
    chunks, token_of = cut(text), [bytes([i]) for i in range(256)]
    for _ in range(n_merges):
        pairs = right_count(chunks)
        if max(pairs.values(), default=0) < 2:
            break
        a, b = min(pairs, key=lambda pair: (-pairs[pair], *(token_of[i] for i in pair)))
        chunks = {right_merge(chunk, (a, b), len(token_of)): n for chunk, n in chunks.items()}
        token_of.append(token_of[a] + token_of[b])
    return {token: rank for rank, token in enumerate(token_of)}


@misconception(
    "tokenizer.train_bpe",
    "ties by the first id only",
    "Of equally common pairs you compare the first ids only. If these are equal, too, the "
    "second ids decide.",
)
def bpe_first_id_only(text, n_merges):
    return train(cut(text), n_merges, lambda pairs: min(pairs, key=lambda p: (-pairs[p], p[0])))


@misconception(
    "tokenizer.train_bpe",
    "ties by the second id",
    "Of equally common pairs you take the one with the smaller second id. The first ids are"
    " compared first.",
)
def bpe_second_id(text, n_merges):
    return train(cut(text), n_merges, lambda pairs: min(pairs, key=lambda p: (-pairs[p], p[::-1])))


@misconception(
    "tokenizer.train_bpe",
    "three times or more",
    "You stop at pairs that occur twice. Twice is a repetition: only what occurs once is "
    "left alone.",
)
def bpe_three_times(text, n_merges):
    return train(cut(text), n_merges, smallest, least=3)


@misconception(
    "tokenizer.train_bpe",
    "one merge too few",
    "You learn n_merges - 1 merges. Each round gives one token.",
)
def bpe_one_too_few(text, n_merges):
    return train(cut(text), n_merges - 1, smallest)


@misconception(
    "tokenizer.train_bpe",
    "forget the 256 bytes",
    "Your ranks have the merges only. Without the 256 single bytes, a text with a rare byte"
    " could not be encoded.",
)
def bpe_no_bytes(text, n_merges):
    return {token: i for token, i in train(cut(text), n_merges, smallest).items() if i > 255}


@misconception(
    "tokenizer.train_bpe",
    "begin at 257",
    "Your first merge has the id 257. The bytes have 0 … 255, so 256 is the next one.",
)
def bpe_from_257(text, n_merges):
    return {token: i + (i > 255) for token, i in train(cut(text), n_merges, smallest).items()}


@misconception(
    "tokenizer.train_bpe",
    "ids for keys",
    "Your dictionary goes from ids to bytes. The contract asks for ranks: from the bytes of"
    " a token to its id.",
)
def bpe_ids_for_keys(text, n_merges):
    return {i: token for token, i in train(cut(text), n_merges, smallest).items()}


@misconception(
    "tokenizer.train_bpe",
    "pairs for keys",
    "The keys of your merges are pairs of ids. The contract asks for the bytes of each "
    "token: those of the first, then those of the second.",
)
def bpe_pairs_for_keys(text, n_merges):
    chunks, ranks = cut(text), {bytes([i]): i for i in range(256)}
    for new_id in range(256, 256 + n_merges):
        pairs = right_count(chunks)
        if max(pairs.values(), default=0) < 2:
            break
        ranks[smallest(pairs)] = new_id
        chunks = {right_merge(chunk, smallest(pairs), new_id): n for chunk, n in chunks.items()}
    return ranks


@misconception(
    "tokenizer.train_bpe",
    "the second token first",
    "You join the bytes in the wrong order: those of the first id of the pair come first.",
)
def bpe_second_first(text, n_merges):
    return train(cut(text), n_merges, smallest, turned=True)


@misconception(
    "tokenizer.train_bpe",
    "cut with split",
    "re.split gives what stands between the chunks: nothing. re.findall gives the chunks.",
)
def bpe_re_split(text, n_merges):
    chunks = Counter(re.split(SPLIT_PATTERN, text))
    return train({tuple(c.encode()): n for c, n in chunks.items()}, n_merges, smallest)


@misconception(
    "tokenizer.train_bpe",
    "rarest pair first",
    "You take the pair with the smallest count. What is commonest saves most: begin with it.",
)
def bpe_rarest(text, n_merges):
    return train(cut(text), n_merges, lambda pairs: min(pairs, key=lambda p: (pairs[p], p)))


@misconception(
    "tokenizer.train_bpe",
    "each character alone",
    "You take each character as a chunk, so no merge can join two. A chunk is a run of "
    "characters, as SPLIT_PATTERN cuts it.",
)
def bpe_characters_alone(text, n_merges):
    return train({tuple(c.encode()): n for c, n in Counter(text).items()}, n_merges, smallest)


@misconception(
    "tokenizer.train_bpe",
    "throw stops away",
    "You leave out the stops, spaces and line breaks. They are chunks of their own; the "
    "comma has three bytes to be merged.",
)
def bpe_no_stops(text, n_merges):
    chunks = Counter(re.findall("[^ \\n，。]+", text))
    return train({tuple(c.encode()): n for c, n in chunks.items()}, n_merges, smallest)


@misconception(
    "tokenizer.train_bpe",
    "several stops in one chunk",
    "You take stops and line breaks that follow each other as one chunk. Each is a chunk of"
    " its own, or 。 and the line break become one token.",
)
def bpe_runs_of_stops(text, n_merges):
    chunks = Counter(re.findall("[^ \\n，。]+|[ \\n，。]+", text))
    return train({tuple(c.encode()): n for c, n in chunks.items()}, n_merges, smallest)


@misconception(
    "tokenizer.train_bpe",
    "cut at line breaks",
    "You cut the text into lines. Stops, commas and spaces are cuts, too.",
)
def bpe_lines(text, n_merges):
    chunks = Counter(text.splitlines())
    return train({tuple(c.encode()): n for c, n in chunks.items()}, n_merges, smallest)


@misconception(
    "tokenizer.train_bpe",
    "one merge in each chunk",
    "You replace the pair once in each chunk. It is replaced everywhere.",
)
def bpe_once_in_each(text, n_merges):
    return train(cut(text), n_merges, smallest, replace=first_only)


@misconception(
    "tokenizer.train_bpe",
    "merge from right to left",
    "You merge from the end of a chunk. In aaa, the first two become one, in training as in"
    " encoding.",
)
def bpe_from_the_right(text, n_merges):
    return train(cut(text), n_merges, smallest, replace=from_the_right)


@misconception(
    "tokenizer.train_bpe",
    "count without overlap",
    "You count aa once in aaa, as text.count() does. Each place where two ids stand side by"
    " side counts.",
)
def bpe_no_overlap(text, n_merges):
    return train(cut(text), n_merges, smallest, count=no_overlap)


@misconception(
    "tokenizer.train_bpe",
    "count a pair once per chunk",
    "You count a pair once per chunk, although it stands in it several times.",
)
def bpe_pair_or_not(text, n_merges):
    return train(cut(text), n_merges, smallest, count=pair_or_not)


@misconception(
    "tokenizer.train_bpe",
    "capitals as small letters",
    "You make small letters of capitals. They have other bytes, and must come back.",
)
def bpe_lower(text, n_merges):
    return train(cut(text.lower()), n_merges, smallest)


@misconception(
    "tokenizer.train_bpe",
    "an error at the end",
    "You raise an error when no pair occurs twice. That is no error: training ends, and the"
    " ranks learned so far are the result.",
)
def bpe_error_at_the_end(text, n_merges):
    ranks = train(cut(text), n_merges, smallest)
    if len(ranks) < 256 + n_merges:
        raise ValueError("no pair occurs twice")
    return ranks


@misconception(
    "tokenizer.train_bpe",
    "one merge too many",
    "You learn n_merges + 1 merges. Each round gives one token.",
)
def bpe_one_too_many(text, n_merges):
    return train(cut(text), n_merges + 1, smallest)


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


@misconception(
    "tokenizer.bpe_encode",
    "a shortcut for whole chunks",
    "You take a chunk that is a key of `ranks` as one token. A token counts only if the "
    "joins lead to it, step by step.",
)
def whole_chunk_first(text, ranks):
    ids = []
    for chunk in re.findall(SPLIT_PATTERN, text):
        code = chunk.encode()
        ids += [ranks[code]] if code in ranks else longest_by_rank(chunk, ranks)
    return ids


@misconception(
    "tokenizer.bpe_encode",
    "single bytes only",
    "You write the ranks of single bytes and join nothing. Then the merges were learned for"
    " nothing.",
)
def bytes_only(text, ranks):
    return [ranks[bytes([b])] for b in text.encode()]


@misconception(
    "tokenizer.bpe_encode",
    "each character alone",
    "You encode each character for itself, so no join leads from one to the next. A chunk "
    "is a run of characters, as SPLIT_PATTERN cuts it.",
)
def characters_alone(text, ranks):
    return [i for c in text for i in longest_by_rank(c, ranks)]


@misconception(
    "tokenizer.bpe_encode",
    "one join in each chunk",
    "You join once in each chunk. Repeat until no neighbours have a rank.",
)
def one_join(text, ranks):
    ids = []
    for parts in split_bytes(text):
        joined = [a + b for a, b in pairwise(parts)]
        known = [token for token in joined if token in ranks]
        if known:
            i = joined.index(min(known, key=lambda token: ranks[token]))
            parts[i : i + 2] = [joined[i]]
        ids += [ranks[part] for part in parts]
    return ids


@misconception(
    "tokenizer.bpe_encode",
    "commonest neighbours first",
    "You count which neighbours are commonest in this text. That was training; encoding "
    "asks for the rank only.",
)
def commonest_first(text, ranks):
    ids = []
    for parts in split_bytes(text):
        while True:
            joined = [a + b for a, b in pairwise(parts)]
            known = [token for token in joined if token in ranks]
            if not known:
                break
            i = joined.index(min(known, key=lambda token: (-joined.count(token), ranks[token])))
            parts[i : i + 2] = [joined[i]]
        ids += [ranks[part] for part in parts]
    return ids


@misconception(
    "tokenizer.bpe_encode",
    "the fewest tokens",
    "You look for the cutting with the fewest tokens. It may not be the one that the joins "
    "by rank lead to, and the model knows only that one.",
)
def fewest_tokens(text, ranks):
    ids = []
    for chunk in re.findall(SPLIT_PATTERN, text):
        code, best = chunk.encode(), [[]]
        for end in range(1, len(code) + 1):
            starts = [i for i in range(end) if code[i:end] in ranks]
            best.append(min(([*best[i], ranks[code[i:end]]] for i in starts), key=len))
        ids += best[-1]
    return ids


@misconception(
    "tokenizer.bpe_encode",
    "one pass in the order of the keys",
    "You go once through the dictionary and join what you find. Its keys stand in any "
    "order: the rank decides, and you must look again after each join.",
)
def one_pass_over_keys(text, ranks):
    ids = []
    for parts in split_bytes(text):
        for token in ranks:
            i = 0
            while i < len(parts) - 1:
                if parts[i] + parts[i + 1] == token:
                    parts[i : i + 2] = [token]
                i += 1
        ids += [ranks[part] for part in parts]
    return ids


@misconception(
    "tokenizer.bpe_encode",
    "the place decides",
    "You compare places in the dictionary instead of ranks. The order of the keys means "
    "nothing; the value says which merge was first.",
)
def place_decides(text, ranks):
    places = {token: place for place, token in enumerate(ranks)}
    ids = []
    for parts in split_bytes(text):
        join(parts, places, lambda where, found: where[found.index(min(found))])
        ids += [ranks[part] for part in parts]
    return ids


@misconception(
    "tokenizer.bpe_encode",
    "words at white space",
    "You cut the text with split(). It throws the white space away, so the text does not "
    "come back, and it does not cut at stops.",
)
def encode_split(text, ranks):
    return [i for word in text.split() for i in encode_without_cuts(word, ranks)]


@misconception(
    "tokenizer.bpe_encode",
    "throw stops away",
    "You leave out the stops, spaces and line breaks. They are chunks of their own, and the"
    " text must come back.",
)
def encode_no_stops(text, ranks):
    words = re.findall("[^ \\n，。]+", text)
    return [i for word in words for i in encode_without_cuts(word, ranks)]


@misconception(
    "tokenizer.bpe_encode",
    "several stops in one chunk",
    "You take stops and line breaks that follow each other as one chunk. Training cut "
    "between them, so encoding must, too.",
)
def encode_runs_of_stops(text, ranks):
    chunks = re.findall("[^ \\n，。]+|[ \\n，。]+", text)
    return [i for chunk in chunks for i in encode_without_cuts(chunk, ranks)]


@misconception(
    "tokenizer.bpe_encode",
    "cut at white space only",
    "You cut at spaces and line breaks, but not at stops and commas. A token must not reach"
    " over the end of a line of verse.",
)
def encode_white_space(text, ranks):
    chunks = re.findall("[^ \\n]+|[ \\n]", text)
    return [i for chunk in chunks for i in encode_without_cuts(chunk, ranks)]


@misconception(
    "tokenizer.bpe_encode",
    "cut with split",
    "re.split gives what stands between the chunks: nothing. re.findall gives the chunks.",
)
def encode_re_split(text, ranks):
    chunks = re.split(SPLIT_PATTERN, text)
    return [i for chunk in chunks for i in encode_without_cuts(chunk, ranks)]


@misconception(
    "tokenizer.bpe_encode",
    "strip the ends",
    "You strip the text. White space at its ends is text like any other, and must come back.",
)
def encode_stripped_bytes(text, ranks):
    return longest_by_rank(text.strip(), ranks)


@misconception(
    "tokenizer.bpe_encode",
    "a list for each chunk",
    "You append the ids of a chunk as one thing. The ids of all chunks make one flat list.",
)
def list_for_each_chunk(text, ranks):
    return [longest_by_rank(chunk, ranks) for chunk in re.findall(SPLIT_PATTERN, text)]


@misconception(
    "tokenizer.bpe_encode",
    "tokens instead of ids",
    "You return the bytes of the tokens. The ids are asked for: the ranks of these bytes.",
)
def tokens_for_ids(text, ranks):
    token_of = {i: token for token, i in ranks.items()}
    return [token_of[i] for i in longest_by_rank(text, ranks)]


@misconception(
    "tokenizer.bpe_encode",
    "return in the loop",
    "You return inside the loop, after the first chunk. The others are never encoded.",
)
def first_chunk(text, ranks):
    return longest_by_rank("".join(re.findall(SPLIT_PATTERN, text)[:1]), ranks)


@misconception(
    "tokenizer.bpe_encode",
    "crash on a single part",
    "When one part is left, it has no neighbour, and min() of nothing raises ValueError. "
    "The chunk is done then.",
)
def crash_on_one(text, ranks):
    ids = []
    for parts in split_bytes(text):
        while True:
            joined = [a + b for a, b in pairwise(parts)]
            token = min(joined, key=lambda token: ranks.get(token, len(ranks)))
            if token not in ranks:
                break
            i = joined.index(token)
            parts[i : i + 2] = [token]
        ids += [ranks[part] for part in parts]
    return ids


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


@misconception(
    "tokenizer.assign_ids",
    "a gap behind the markers",
    "Your characters begin one id too late. The last marker has the id len(markers) - 1, so"
    " the next is len(markers).",
)
def gap(markers, text):
    marker_id = {marker: i for i, marker in enumerate(markers)}
    return marker_id, {c: i for i, c in enumerate(sorted(set(text)), start=len(markers) + 1)}


@misconception(
    "tokenizer.assign_ids",
    "rename the markers",
    "You give the markers other names. That would avoid the clash, but the caller looks "
    "them up by the names that it gave.",
)
def rename(markers, text):
    marker_id = {f"<|{marker}|>": i for i, marker in enumerate(markers)}
    return marker_id, {c: i for i, c in enumerate(sorted(set(text)), start=len(markers))}


@misconception(
    "tokenizer.assign_ids",
    "shared letters last",
    "You give the letters that are markers, too, the last ids. No two things share an id "
    "any more, but the characters should stand in Unicode order.",
)
def shared_letters_last(markers, text):
    characters = sorted(set(text), key=lambda c: (c in markers, c))
    marker_id = {marker: i for i, marker in enumerate(markers)}
    return marker_id, {c: i for i, c in enumerate(characters, start=len(markers))}


@misconception(
    "tokenizer.assign_ids",
    "an id for each place",
    "You number the places of the text, not its characters. A character that stands there "
    "twice uses up two ids.",
)
def each_place(markers, text):
    marker_id = {marker: i for i, marker in enumerate(markers)}
    return marker_id, {c: i for i, c in enumerate(sorted(text), start=len(markers))}


@misconception(
    "tokenizer.assign_ids",
    "characters first",
    "Your characters have the first ids, and the markers follow. A marker's id should not "
    "depend on the text: markers first.",
)
def characters_first(markers, text):
    characters = sorted(set(text))
    marker_id = {marker: i for i, marker in enumerate(markers, start=len(characters))}
    return marker_id, {c: i for i, c in enumerate(characters)}


@misconception(
    "tokenizer.assign_ids",
    "markers among the characters",
    "char_id has the markers, too. It should have the characters of the text and no other key.",
)
def markers_among_characters(markers, text):
    marker_id = {marker: i for i, marker in enumerate(markers)}
    characters = {c: i for i, c in enumerate(sorted(set(text)), start=len(markers))}
    return marker_id, marker_id | characters


@misconception(
    "tokenizer.assign_ids",
    "sort the markers",
    "You sort the markers. They get their ids in the order in which they come.",
)
def sort_the_markers(markers, text):
    marker_id = {marker: i for i, marker in enumerate(sorted(markers))}
    return marker_id, {c: i for i, c in enumerate(sorted(set(text)), start=len(markers))}


@misconception(
    "tokenizer.assign_ids",
    "commonest first",
    "You sort the characters by their counts. That is the order in build_vocab; here it is "
    "Unicode order.",
)
def commonest_character_first(markers, text):
    counts = Counter(text)
    characters = sorted(counts, key=lambda c: (-counts[c], c))
    marker_id = {marker: i for i, marker in enumerate(markers)}
    return marker_id, {c: i for i, c in enumerate(characters, start=len(markers))}


@misconception(
    "tokenizer.assign_ids",
    "ids from a length that stays",
    "You take len() of the common dictionary for the next id. When a letter overwrites a "
    "marker there, the length stays, and the next character gets the same id.",
)
def length_that_stays(markers, text):
    marker_id = {marker: i for i, marker in enumerate(markers)}
    id_of = dict(marker_id)
    for c in sorted(set(text)):
        id_of[c] = len(id_of)
    return marker_id, {c: id_of[c] for c in sorted(set(text))}


@misconception(
    "tokenizer.assign_ids",
    "largest of nothing",
    "You take max() of the markers' ids. Without markers there is none: ValueError. "
    "len(markers) is always right.",
)
def largest_of_nothing(markers, text):
    marker_id = {marker: i for i, marker in enumerate(markers)}
    first = max(marker_id.values()) + 1
    return marker_id, {c: i for i, c in enumerate(sorted(set(text)), start=first)}


@misconception(
    "tokenizer.assign_ids",
    "return one dictionary",
    "You return one dictionary. The marker A and the letter A cannot both be keys of it: "
    "two are asked for.",
)
def return_one(markers, text):
    return {token: i for i, token in enumerate([*markers, *sorted(set(text))])}


@misconception(
    "tokenizer.assign_ids",
    "one id twice",
    "Your characters begin with the id of the last marker. It has len(markers) - 1, so the "
    "next is len(markers).",
)
def one_id_twice(markers, text):
    marker_id = {marker: i for i, marker in enumerate(markers)}
    return marker_id, {c: i for i, c in enumerate(sorted(set(text)), start=len(markers) - 1)}


@misconception(
    "tokenizer.assign_ids",
    "begin at 1",
    "Your ids begin at 1. They number the rows of a matrix, and the first row is row 0.",
)
def begin_at_one(markers, text):
    marker_id = {marker: i for i, marker in enumerate(markers, start=1)}
    return marker_id, {c: i for i, c in enumerate(sorted(set(text)), start=len(markers) + 1)}


@misconception(
    "tokenizer.assign_ids",
    "the first of equal keys",
    "Of equal keys you keep the first, so the letter gets the id of the marker. A text that"
    " contains A now forges a marker.",
)
def first_of_equal(markers, text):
    id_of = {}
    for i, token in enumerate([*markers, *sorted(set(text))]):
        id_of.setdefault(token, i)
    return {marker: id_of[marker] for marker in markers}, {c: id_of[c] for c in sorted(set(text))}


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


@misconception(
    "tokenizer.vocabulary_costs",
    "divide the matrix by the layers",
    "You divide the shared matrix by the layers. A share is a part of the whole: matrix and"
    " layers together.",
)
def matrix_by_layers():
    return costs() | {"tied_share": 8_000_000 / 460_800}


@misconception(
    "tokenizer.vocabulary_costs",
    "divide the tables by the layers",
    "You divide embedding and head by the layers. A share is a part of the whole: all three"
    " together.",
)
def tables_by_layers():
    return costs() | {"share": 6_088_284 / 6_377_984}


@misconception(
    "tokenizer.vocabulary_costs",
    "divide the large tables by the layers",
    "You divide the large tables by the layers. The whole is both together.",
)
def large_by_layers():
    return costs() | {"large_share": 51_300_000 / 6_377_984}


@misconception(
    "tokenizer.vocabulary_costs",
    "divide by the old model",
    "You divide the large tables by the old model's 12,466,268 parameters. With them the "
    "model has grown: they are part of the whole.",
)
def by_the_old_model():
    return costs() | {"large_share": 51_300_000 / 12_466_268}


@misconception(
    "tokenizer.vocabulary_costs",
    "the share of the layers",
    "Your shares are those of the layers. Asked is the share of the tables: what is left to 1.",
)
def share_of_the_layers():
    return costs() | {
        "share": 1 - 6_088_284 / 12_466_268,
        "large_share": 1 - 51_300_000 / 57_677_984,
        "tied_share": 460_800 / 8_460_800,
    }


@misconception(
    "tokenizer.vocabulary_costs",
    "the share of the six layers",
    "Your tied_share is that of the six layers. Asked is the share of the matrix.",
)
def share_of_the_six():
    return costs() | {"tied_share": 460_800 / 8_460_800}


@misconception(
    "tokenizer.vocabulary_costs",
    "460,800 for each layer",
    "You take 460,800 for one layer. The six layers have 460,800 parameters together.",
)
def for_each_layer():
    return costs() | {"tied_share": 8_000_000 / (8_000_000 + 6 * 460_800), "equal": 6 * 5760}


@misconception(
    "tokenizer.vocabulary_costs",
    "one layer of six",
    "You divide 460,800 by six. Asked is the size of the six layers together.",
)
def one_layer():
    return costs() | {"tied_share": 8_000_000 / (8_000_000 + 76_800), "equal": 960}


@misconception(
    "tokenizer.vocabulary_costs",
    "C of the first model",
    "You take C = 256 for the model with the shared matrix. It is another model, with C = 80.",
)
def first_c():
    return costs() | {"tied_share": 25_600_000 / (25_600_000 + 460_800), "equal": 1800}


@misconception(
    "tokenizer.vocabulary_costs",
    "an offset in the shared matrix",
    "You count C + 1 numbers for each token of the shared matrix. It has no offsets.",
)
def shared_offset():
    return costs() | {"tied_share": 8_100_000 / (8_100_000 + 460_800), "equal": 460_800 / 81}


@misconception(
    "tokenizer.vocabulary_costs",
    "count the tied model like the first",
    "You count 2C + 1 numbers for each token of the tied model. It has one matrix for both "
    "ends and no offsets: C numbers.",
)
def tied_like_the_first():
    return costs() | {"tied_share": 16_100_000 / (16_100_000 + 460_800), "equal": 460_800 / 161}


@misconception(
    "tokenizer.vocabulary_costs",
    "leave the head in the layers",
    "You take away the embedding only, and the head stays among the layers. What is left is"
    " without both.",
)
def head_in_the_layers():
    return costs() | {"layers": 9_428_060, "large_share": 51_300_000 / (51_300_000 + 9_428_060)}


@misconception(
    "tokenizer.vocabulary_costs",
    "forget the offsets of the large head",
    "You count 2C numbers for each of the 100,000 tokens. The head adds an offset for each:"
    " 2C + 1.",
)
def large_without_offsets():
    return costs() | {"large_tables": 51_200_000}


@misconception(
    "tokenizer.vocabulary_costs",
    "two decimals",
    "You round the shares to two decimals. Three are asked for.",
)
def two_decimals():
    return costs() | {"share": 0.49, "large_share": 0.89, "tied_share": 0.95}


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
    "would go wrong with an odd one? Or you ask for both faults at once; one is enough.",
)
def call_all_right(encode, decode, vocab):
    return False


@misconception(
    "tokenizer.loses_text",
    "try one special token",
    "You look for one special token, in the texts or among the ids. Each of the eight could "
    "be the one that a text can forge.",
)
def one_special(encode, decode, vocab):
    return finds(encode, decode, vocab, [BOS, "春" + BOS])


def finds(encode, decode, vocab, names=None, leave_out=(), same=str.__eq__, first=8):
    every = "".join(vocab[8:])
    names = names or [
        *SPECIAL_TOKENS,
        *(vocab[-1] + name + vocab[-1] for name in SPECIAL_TOKENS),
    ]
    names = [name for name in names if set(name) <= set(every)]
    texts = ["", *every, every, every[::-1], 2000 * every[:9], "".join(2 * c for c in every)]
    return any(
        not same(decode(encode(s)) or "", s) or min(encode(s), default=8) < first
        for s in [*texts, *names]
        if s not in leave_out
    )


@misconception(
    "tokenizer.loses_text",
    "no empty text",
    "You do not try the empty text. A tokenizer that makes something of nothing gets through.",
)
def no_empty_text(encode, decode, vocab):
    return finds(encode, decode, vocab, leave_out=[""])


@misconception(
    "tokenizer.loses_text",
    "no doubled characters",
    "You do not try doubled characters. A tokenizer that makes one of two gets through.",
)
def no_doubled(encode, decode, vocab):
    doubled = "".join(2 * c for c in vocab[8:])
    return finds(encode, decode, vocab, leave_out=[doubled])


@misconception(
    "tokenizer.loses_text",
    "no long text",
    "Your texts are short. A tokenizer that cuts a text after a thousand characters gets through.",
)
def no_long_text(encode, decode, vocab):
    return finds(encode, decode, vocab, leave_out=[2000 * "".join(vocab[8:17])])


@misconception(
    "tokenizer.loses_text",
    "names alone",
    "You try the names of special tokens only as whole texts. A name may be forged inside a"
    " longer text, too.",
)
def names_alone(encode, decode, vocab):
    return finds(encode, decode, vocab, SPECIAL_TOKENS)


@misconception(
    "tokenizer.loses_text",
    "names inside a text only",
    "You try the names of special tokens inside longer texts only. A tokenizer may look "
    "whole texts up, and forge a name that stands alone.",
)
def names_inside(encode, decode, vocab):
    return finds(encode, decode, vocab, [vocab[-1] + name + vocab[-1] for name in SPECIAL_TOKENS])


@misconception(
    "tokenizer.loses_text",
    "names at the beginning",
    "Inside a text, you try names of special tokens only at its beginning. One behind "
    "another character may be forged, too.",
)
def names_at_the_beginning(encode, decode, vocab):
    names = [name + vocab[-1] for name in SPECIAL_TOKENS]
    return finds(encode, decode, vocab, [*SPECIAL_TOKENS, *names])


@misconception(
    "tokenizer.loses_text",
    "names at the end",
    "Inside a text, you try names of special tokens only at its end. One before another "
    "character may be forged, too.",
)
def names_at_the_end(encode, decode, vocab):
    names = [vocab[-1] + name for name in SPECIAL_TOKENS]
    return finds(encode, decode, vocab, [*SPECIAL_TOKENS, *names])


@misconception(
    "tokenizer.loses_text",
    "look at ids only",
    "You look for special ids and never compare the text. A tokenizer that loses characters"
    " without forging gets through.",
)
def ids_only(encode, decode, vocab):
    return finds(encode, decode, vocab, same=lambda back, text: True)


@misconception(
    "tokenizer.loses_text",
    "return in the loop",
    "You return inside the loop, after the first text. The others are never tried.",
)
def first_text_only(encode, decode, vocab):
    return decode(encode("")) != ""


@misconception(
    "tokenizer.loses_text",
    "the last special id",
    "You look for the ids 0 … 6. There are eight special tokens, and the last has the id 7.",
)
def without_the_last_id(encode, decode, vocab):
    return finds(encode, decode, vocab, first=7)


@misconception(
    "tokenizer.loses_text",
    "the whole vocabulary in one text",
    "You try one text with all tokens, names included. What goes wrong with an empty text, "
    "a long one, doubled characters or the ends of a text does not show in it.",
)
def whole_vocabulary(encode, decode, vocab):
    text = "".join(vocab)
    return decode(encode(text)) != text or min(encode(text)) < 8


@misconception(
    "tokenizer.loses_text",
    "compare sets",
    "You compare sets of characters. They have no order, and each character once: much can "
    "be lost that they do not show.",
)
def compare_sets(encode, decode, vocab):
    return finds(encode, decode, vocab, same=lambda back, text: set(back) == set(text))


@misconception(
    "tokenizer.loses_text",
    "short random texts",
    "You draw short texts at random. Long ones, the empty one, doubled characters and names"
    " of special tokens hardly ever come up: write them down.",
)
def random_texts(encode, decode, vocab):
    rng = random.Random(0)
    texts = ["".join(rng.choices(vocab[8:], k=rng.randint(0, 30))) for _ in range(100)]
    return any(decode(encode(s)) != s or min(encode(s), default=8) < 8 for s in texts)


@misconception(
    "tokenizer.loses_text",
    "compare an array with a list",
    "You compare ids with == or ask `if ids`. For a NumPy array that is no single truth: "
    "ValueError. Make a list of it, or go through it.",
)
def array_with_list(encode, decode, vocab):
    return True if not encode(vocab[-1] * 2) else finds(encode, decode, vocab)


@misconception(
    "tokenizer.loses_text",
    "characters outside the vocabulary",
    "You use characters that are not in `vocab`. A right tokenizer does not know them, so "
    "their text need not come back.",
)
def outside_the_vocabulary(encode, decode, vocab):
    return any(decode(encode(text)) != text for text in ("", "春眠不觉晓", "abc"))


@misconception(
    "tokenizer.loses_text",
    "strip before comparing",
    "You strip the texts before you compare them. White space at the ends may be just what "
    "got lost.",
)
def strip_first(encode, decode, vocab):
    return finds(encode, decode, vocab, same=lambda back, text: back.strip() == text.strip())


@misconception(
    "tokenizer.loses_text",
    "compare lengths of texts",
    "You compare the lengths of two texts. They can be equal, and other characters stand there.",
)
def lengths_of_texts(encode, decode, vocab):
    return finds(encode, decode, vocab, same=lambda back, text: len(back) == len(text))


@misconception(
    "tokenizer.loses_text",
    "compare without order",
    "You compare which characters occur, sorted or as sets. The same characters in another "
    "order are another text.",
)
def without_order(encode, decode, vocab):
    return finds(encode, decode, vocab, same=lambda back, text: sorted(back) == sorted(text))


@misconception(
    "tokenizer.loses_text",
    "lengths instead of ids",
    "You compare the number of ids with the number of characters, and never look at the "
    "ids. A special id may stand for a single character.",
)
def lengths_for_ids(encode, decode, vocab):
    def back(ids):
        return decode(ids) if len(decode(ids)) == len(ids) else None

    return finds(encode, back, vocab, first=-8)
