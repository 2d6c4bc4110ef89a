"""Made-up input with nothing to search for: keyboard noise, hammered keys, single characters, loose symbols."""

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
CONSONANTS = "bcdfghjklmnpqrstvwxz"
SINGLE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZあいうえおかんアイウエオンбдяαω"
KANA = "あいうえおかきくけこさしすせそたちつてとなにぬねの"
SYMBOLS = "?!.,-_*/+=~#()[]{}<>|\\@$%^&;:'\"。、？！…・「」【】★♪→〜￥　 "


def _run(chance):
    row = chance.choice(ROWS)
    start = chance.randrange(len(row) - 3)
    text = row[start : start + chance.randint(4, 9)] * chance.randint(1, 2)
    return text[::-1] if chance.random() < 0.2 else text


def _home_row(chance):
    return "".join(chance.choice("asdfghjkl;") for _ in range(chance.randint(5, 14)))


def _repeated(chance):
    return chance.choice(SINGLE) * chance.choice([1, 4, 5, 6, 8, 11])


def _consonants(chance):
    return "".join(chance.choice(CONSONANTS) for _ in range(chance.randint(6, 12)))


def _words_of_a_row(chance):
    row = chance.choice(ROWS)
    lengths = [chance.randint(3, 7) for _ in range(chance.randint(2, 3))]
    return " ".join("".join(chance.choice(row) for _ in range(length)) for length in lengths)


def _symbols(chance):
    return "".join(chance.choice(SYMBOLS) for _ in range(chance.randint(1, 8))) or "?"


def _symbols_and_a_letter(chance):
    return _symbols(chance) + chance.choice("x1aq0") + chance.choice(["", _symbols(chance)])


def _one_hand(chance):
    return "".join(chance.choice("hjklfdsnmv") for _ in range(chance.randint(6, 12))) + chance.choice(["", "jj", "kkk"])


def _two_keys(chance):
    return "".join(chance.sample("asdfjkl", 2)) * chance.randint(3, 6)


def _kana(chance):
    return "".join(chance.choice(KANA) * chance.randint(1, 3) for _ in range(chance.randint(4, 7)))


KINDS = (
    _run,
    _home_row,
    _repeated,
    _consonants,
    _words_of_a_row,
    _symbols,
    _symbols_and_a_letter,
    _one_hand,
    _two_keys,
    _kana,
)


def query(chance):
    """One piece of noise by the random generator `chance`."""
    text = chance.choice(KINDS)(chance)
    # Noise comes with capitals too, when the shift key is stuck.
    return text.upper() if chance.random() < 0.15 else text
