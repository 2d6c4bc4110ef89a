"""The tokenizer of multilingual-e5-small as one of Hugging Face tokenizers, whose file is `tokenizer.json`.

SentencePiece's rules, as the package has them character by character, are NFKC with a few of its own before it. Those
of them that a normalizer would otherwise undo stand aside meanwhile, as characters that no text has.
"""

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

# Control characters that are left out, and characters that are blanks beside those that NFKC makes to blanks. As they are,
# not as escapes: the regular expressions of Python's and of Rust's tokenizers are two.
DROPPED = "[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]"
BLANKS = "[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]"
# NFKC would make an ASCII tilde of the first, and put the others, voicing marks of half-width kana, into the character
# before. The package's table looks at one character at a time, and models are trained with its tokens.
ASIDE = {
    "\uff5e": ("\ufdd0", "\uff5e"),
    "\uff9e": ("\ufdd1", "\u3099"),
    "\uff9f": ("\ufdd2", "\u309a"),
    "\U0001f23b": ("\ufdd3", "\U0001f23b"),
}


def tokenizer(e5, max_tokens):
    """The tokenizer of the `e5.E5` file `e5`, with marks of beginning and end, cutting texts at `max_tokens`."""
    made = Tokenizer(models.Unigram(e5.vocabulary, unk_id=e5.unknown))
    made.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(DROPPED), ""),
            normalizers.Replace(Regex(BLANKS), " "),
            *(normalizers.Replace(char, aside) for char, (aside, _) in ASIDE.items()),
            normalizers.NFKC(),
            *(normalizers.Replace(aside, back) for aside, back in ASIDE.values()),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    begin, end = (e5.vocabulary[mark][0] for mark in (e5.bos, e5.eos))
    made.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {end} $B {end}",
        special_tokens=[(begin, e5.bos), (end, e5.eos)],
    )
    made.enable_truncation(max_tokens)
    return made


def token_ids(made, texts):
    """Token ids of each text by the tokenizer `made`, lists of int."""
    return [encoding.ids for encoding in made.encode_batch_fast(texts)]
