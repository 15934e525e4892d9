"""The code one learns, in the order in which the chapters teach it; imports run downwards only.

files poem                      a file written whole or not at all; a poem, and how poems are read
source spelling corpus          from a packed collection to poems, once, before chapter 01
rhymebook prosody tunes         rhyme groups and tones; the rules of verse; the tunes of lyrics
pinyin gloss                    how a verse is read, and one English word a character
runtime figures lesson          where things run; pictures; what every notebook begins with
tokenizer                       01 · characters and pieces as ids
attention                       02 · who looks at whom
gpt                             03 · the model
masks sampling                  03 · what may come next; writing with the model
training                        04 · the one loop
loss                            05 · what a number of nats means
schedule optim checkpoint       06 · rates, optimizers, what must be saved
pretraining                     06 · the stream of poems
midtraining                     07 · framed poems, masks, buckets
evaluation                      07 · loss and novelty of what was learned
conversation tools              08 · who says what, and what of it to learn; a calculator
mixture streaming               08 · tasks, mixed; batches from a stream of them
scaling                         09 · more tokens, weights and machines, and what they are used for
rewards alignment rollouts      10 · rules as rewards, and learning from what one wrote
"""
