"""The code one learns, in the order in which the chapters teach it; imports run downwards only.

files source spelling corpus    from a packed collection to poems, before chapter 01
runtime lesson                  where things run; what every notebook begins with
tokenizer                       01 · characters and pieces as ids
attention                       02 · who looks at whom
gpt                             03 · the model, and writing with it
training                        04 · the one loop
loss                            05 · what a number of nats means
schedule optim checkpoint       06 · rates, optimizers, what must be saved
pretraining                     06 · the stream of poems
midtraining                     07 · framed poems, masks, buckets
evaluation                      07 · form, novelty, rhyme, beside chance
"""
