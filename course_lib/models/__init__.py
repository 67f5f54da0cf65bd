"""Models as the course uses them: text in, tokens and log-probabilities out.

`loading` finds a model by name, and `folders` says what is wrong with one that cannot be used;
`text_model` and `language_model` are what it hands out; `recurrent` and `ngram` hold the two
families that transformers does not bring; `assets` checks the bundled files; `sites` names the
places inside a model; `packing` reads common beginnings once. Import from these modules: this file
stays empty, so that asking for `assets` does not load torch.
"""
