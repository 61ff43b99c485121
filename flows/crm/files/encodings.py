"""A text's encoding: proven by its bytes, or a guess that is said as one, or refused."""

from __future__ import annotations

import codecs
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from flows.errors import ExportUnreadable

CHUNK = 4 << 20
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_WESTERN = "cp1252"
_OTHERS = ("mac-roman", "cp850", "cp1250", "cp1254")
_SCRIPTS = {
    **dict.fromkeys(
        ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac-cyrillic"), "\u043e\u0435\u0430\u0438\u043d\u0442\u0441\u0440\u0432\u043b\u0456"
    ),
    **dict.fromkeys(("cp1253", "iso8859-7"), "\u03b1\u03bf\u03b9\u03b5\u03c4\u03c3\u03bd\u03b7\u03c5\u03c1"),
    "cp1255": "\u05d9\u05d5\u05d4\u05dc\u05d0\u05de\u05e8\u05d1\u05ea\u05e9",
    **dict.fromkeys(("cp1256", "iso8859-6"), "\u0627\u0644\u064a\u0645\u0648\u0646\u062a\u0631\u0628\u0629\u0639"),
    "cp874": "\u0e32\u0e19\u0e23\u0e2d\u0e01\u0e40\u0e07\u0e25\u0e21\u0e22\u0e27\u0e15\u0e2a\u0e48\u0e49\u0e35",
}
"""The encodings of Cyrillic, Greek, Hebrew, Arabic and Thai text, with its most frequent letters: they are half of a text or more."""

_HALF, _AHEAD = 0.4, 0.1
"""The share of frequent letters that a script's text has, and how far one encoding must be ahead of those that make another text of it."""

_COMMON_SIGNS = 0.9
_ENOUGH = 20  # bytes beyond ASCII
_LEADS = 0xC0  # and above: the first byte of a character that has more
_WORD = re.compile(rb"[A-Za-z]{0,30}[\x80-\xff][A-Za-z\x80-\xff]*")
"""Bounded in front, where a long run of letters would be looked through again from each of them."""

_MANY = 50_000
_SHOWN = 8

_CAPITAL = "\u00c0-\u00d6\u00d8-\u00de\u0160\u017d\u0152\u0178"
_SMALL = "a-z\u00df-\u00f6\u00f8-\u00ff\u0161\u017e\u0153"
_SIGNS = (
    r"\u2018\u201a\u201c-\u201e\u2020-\u2022\u2030\u2039\u203a\u2122\u0192\u02c6\u02dc"
    r"\u00a1-\u00b3\u00b5\u00b6\u00b8\u00b9\u00bb-\u00bf\u00f7"
)
_ABSURD = re.compile(
    rf"(?P<control>[\u0080-\u009f])"
    rf"|(?<=[A-Za-z{_CAPITAL}{_SMALL}])(?P<within>[{_SIGNS}])(?=[A-Za-z{_CAPITAL}{_SMALL}])"
    rf"|(?<=[A-Za-z{_CAPITAL}{_SMALL}])(?P<behind>[\u201a\u201e\u0192\u02c6\u02dc\u00a1\u00a4\u00a5\u00a8\u00af\u00b8\u00bc-\u00bf])"
    rf"|(?P<pound>\u00a3)(?=[a-z{_SMALL}])|(?P<money>\u00a4)"
    r"|(?<=[A-Za-z]{3})(?P<power>[\u00b2\u00b3\u00b9])"
    r"|(?P<before>[\u2020\u2021\u0192\u02c6\u02dc\u20ac])(?=[a-z])"
    rf"|(?<=[{_SMALL}])(?P<capital>[{_CAPITAL}])|(?<=[A-Za-z])(?P<inner>[{_CAPITAL}])(?=[{_SMALL}])"
    r"|(?P<rare>[\u0160\u0161\u017d\u017e\u0178\u0192])|(?P<ligature>[\u0152\u0153])(?![Uu])"
    r"|(?<=[a-z])(?P<dash>[\u2013\u2014])(?=[a-z\u2013\u2014])"
    r"|(?P<tilde>[\u00f5\u00d5])(?![eE])|(?P<enye>[\u00f1\u00d1])(?![aeiouAEIOU\u00e1\u00e9\u00ed\u00f3\u00fa\u00fc\u00c1\u00c9\u00cd\u00d3\u00da])"
    r"|(?P<grave>[\u00e8\u00c8])(?=[aeiouAEIOU\u00e1\u00e9\u00ed\u00f3\u00fa])|(?P<ending>[\u00ec\u00f9\u00cc\u00d9])(?=[A-Za-z])"
    r"|(?P<stroke>[\u00f8\u00d8])(?=[\u00e1\u00e9\u00ed\u00f3\u00fa\u00fd\u00ec\u00f9])|(?<=[aeiouAEIOU])(?P<last>\u00e6)(?![a-z\u00e0-\u00ff])"
)
"""Marks that a word in a Western language does not have: signs inside it, a capital behind a small letter, letters that Latin-1 lacks, and
such beside letters that Portuguese, Spanish, Italian, French and Danish do not write them beside, but Hungarian, Polish, Czech and Croatian
do in their own encoding."""

_MIXED = re.compile(r"[\u0430-\u045f\u03ac-\u03ce][\u0401-\u042f\u0386-\u03ab]")
_LONE = re.compile(r"(?<=[\u0430-\u045f\u03ac-\u03ce])[\u0401-\u042f\u0386-\u03ab](?!\w)")
"""Capitals behind small letters, in Cyrillic and Greek: other encodings of these scripts make them of one word in three."""

_ENOUGH_LINES = 500
"""Lines beyond ASCII that show what the others are."""

_QUOTED = re.compile("[A-Za-z]*[\u00c4\u00c5\u00c2][\u2018-\u201e\u2013\u2014\u2026]")

_ESCAPES = re.compile(rb"\x1b\$[@B]")
"""The sign of Japanese in seven bits, which reads as ASCII."""

_UTF_7 = re.compile(rb"\+A[M-P][A-Za-z0-9+/]{1,200}-?")
"""Letters beyond ASCII as UTF-7 begins to write them."""

_NORTHERN = frozenset("\u00de\u00fe\u00d0\u00f0\u00dd\u00fd")
"""Letters of Icelandic, in whose place other encodings have those of Turkish, Romanian, Czech."""

_ICELANDIC, _NOT_ICELANDIC = (
    frozenset("\u00e6\u00c6\u00e1\u00c1\u00ed\u00cd\u00f3\u00d3\u00fa\u00da\u00e9\u00c9"),
    frozenset("\u00e7\u00c7\u00fc\u00dc\u00e3\u00e2\u00ee"),
)

Raw = Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text's encoding. A ``guess`` has the letters beyond ASCII that it makes of the text, with how many distinct words have them."""

    name: str
    guess: str | None = None


def encoding_of(raw: Raw, head: bytes, location: str) -> Encoding:
    """By the BOM; else UTF-8, if every byte of the file says so; else a guess by the words beyond ASCII.

    Raises ExportUnreadable for a text of two encodings, one that was encoded twice, and where no guess makes words of all its bytes.
    """
    marked = next((encoding for bom, encoding in BOMS if head.startswith(bom)), None)
    if marked and marked != "utf-8-sig":
        return Encoding(marked)
    if unmarked := unmarked_utf16(head[:4096]):
        return Encoding(unmarked)
    if _ESCAPES.search(head):
        return Encoding("iso2022_jp")
    odd = _first_odd_bytes(raw)
    if odd is None and head.isascii() and (found := _in_utf_7(head)):
        line = head.count(b"\n", 0, found.start()) + 1
        raise ExportUnreadable(
            f"{location}, line {line}: letters are written as UTF-7 has them. Say --encoding utf-7, or --encoding utf-8 to send them as"
            " they stand."
        )
    if odd is None:
        with raw() as stream:
            refuse_twice(enumerate(stream.read(CHUNK).split(b"\n"), 1), location)
        return Encoding(marked or "utf-8")
    line, before_was_utf8, sample = odd
    words = _words(raw)
    if before_was_utf8 or marked or _mostly_utf8(words, sample):
        raise ExportUnreadable(
            f"{location}, line {line}: not valid UTF-8, although other lines are. Fix that line, or export again as UTF-8;"
            " if all of the file is in another encoding, name it with --encoding, such as --encoding cp1252."
        )
    return _guessed(words, sample, location, line)


def _in_utf_7(head: bytes) -> re.Match[bytes] | None:
    """The first letters of Western languages that UTF-7 has encoded, None where there are none: `+AMOUNT` is no such."""
    for found in _UTF_7.finditer(head):
        try:
            signs = [sign for sign in found[0].decode("utf-7") if not sign.isascii()]
        except UnicodeDecodeError:
            continue
        if signs and all("\u00c0" <= sign <= "\u00ff" for sign in signs):
            return found
    return None


def refuse_twice(lines: Iterable[tuple[int, bytes]], location: str) -> None:
    """Raise ExportUnreadable where UTF-8 was read as something else and encoded again: most words of the lines are UTF-8 once more."""
    odd = list(itertools.islice(((number, text) for number, text in lines if not text.isascii()), _ENOUGH_LINES))
    words = [word.decode("utf-8", "ignore") for word in {word for _, text in odd for word in _WORD.findall(text)}]
    for between in ("cp1252", "cp1251", "mac-roman") if words else ():
        found = [word for word in words if _is_utf8_again(word, between)]
        if found and len(found) * 2 >= len(words):
            line = next(number for number, text in odd if any(word.encode() in text for word in found))
            raise ExportUnreadable(
                f"{location}, line {line}: the text was encoded as UTF-8 twice (read as {between} in between), as {len(found):,} of"
                f" {len(words):,} words beyond ASCII show. Export again as UTF-8, or say --encoding utf-8 to send them as they stand."
            )


def _is_utf8_again(word: str, between: str) -> bool:
    """True if the word's characters are, as bytes of another encoding, UTF-8 with a letter; a quote behind a capital is no proof."""
    try:
        once = b"".join(_byte_of(sign, between) for sign in word).decode("utf-8")
    except UnicodeError:
        return False
    return not once.isascii() and any(sign.isalpha() for sign in once if ord(sign) >= 0x80) and not _QUOTED.fullmatch(word)


def _byte_of(sign: str, encoding: str) -> bytes:
    """The byte of a character; one of the few that cp1252 leaves undefined stands for itself."""
    return bytes([ord(sign)]) if 0x80 <= ord(sign) < 0xA0 else sign.encode(encoding)


def said_encoding(name: str, head: bytes) -> Encoding:
    """The encoding that the user says; UTF-8 may have a BOM."""
    return Encoding("utf-8-sig" if name == "utf-8" and head.startswith(codecs.BOM_UTF8) else name)


def unmarked_utf16(head: bytes) -> str | None:
    """UTF-16 without BOM: mostly Latin text has a zero in every other byte and in no other."""
    even, odd, half = head[::2].count(0), head[1::2].count(0), len(head) // 2
    if min(even, odd) * 20 > half or max(even, odd) * 2 < half:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def is_utf8(text: bytes | memoryview) -> bool:
    """True if the whole of ``text`` is UTF-8: Arrow tells without a copy, and many times faster than cell by cell."""
    extent = pa.py_buffer(np.array([0, len(text)], np.int32))
    try:
        pa.Array.from_buffers(pa.binary(), 1, [None, extent, pa.py_buffer(text)]).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _first_odd_bytes(raw: Raw) -> tuple[int, bool, bytes] | None:
    """The first line that is not UTF-8, whether non-ASCII text before it was, and a sample from there; None if all is well."""
    if _reads_as_utf8(raw):
        return None
    decode = codecs.getincrementaldecoder("utf-8")()
    before, non_ascii, pending = 0, False, b""
    with raw() as stream:
        while chunk := stream.read(CHUNK):
            try:
                if pending or not chunk.isascii():
                    non_ascii = not decode.decode(chunk).isascii() or non_ascii
                    pending = decode.getstate()[0]
            except UnicodeDecodeError as error:
                good = error.object[: error.start]
                start = good.rfind(b"\n") + 1
                place = before - len(pending) + error.start
                return _line_at(raw, place), non_ascii or not good.isascii(), error.object[start : start + (1 << 18)]
            before += len(chunk)
    return (_line_at(raw, before), non_ascii, pending) if pending else None


def _reads_as_utf8(raw: Raw) -> bool:
    """True if all of it is UTF-8: Arrow tells several times faster than a decoder, but not where it is not."""
    begun = b""
    with raw() as stream:
        while chunk := stream.read(CHUNK):
            text = begun + chunk
            end = next((len(text) - back for back in (1, 2, 3) if text[-back:][0] >= _LEADS), len(text))
            if not is_utf8(memoryview(text)[:end]):
                return False
            begun = text[end:]
    return is_utf8(begun)


def _line_at(raw: Raw, place: int) -> int:
    lines = 1
    with raw() as stream:
        while place > 0 and (chunk := stream.read(min(place, CHUNK))):
            lines += chunk.count(b"\n")
            place -= len(chunk)
    return lines


def _words(raw: Raw) -> frozenset[bytes]:
    """The distinct words of the whole file that have a byte beyond ASCII."""
    words, begun = set[bytes](), b""
    with raw() as stream:
        while len(words) < _MANY and (chunk := stream.read(CHUNK)):
            text, end = begun + chunk, (begun + chunk).rfind(b"\n") + 1
            words.update(_WORD.findall(text, 0, end))
            begun = text[end:]
    return frozenset(words.union(_WORD.findall(begun)))


def _mostly_utf8(words: Iterable[bytes], sample: bytes) -> bool:
    """True if words beyond ASCII are UTF-8 as well: any Latin one, for no Western word reads as that, or half of another script."""
    utf8 = [word for word in words if is_utf8(word)]
    if _western(sample):
        return any("\u00c0" <= sign <= "\u024f" for word in utf8 for sign in word.decode("utf-8"))
    return len(utf8) * 2 >= len(list(words))


def _western(sample: bytes) -> bool:
    """True if bytes beyond ASCII stand alone, as accents do, and not in runs, as another script."""
    runs = re.findall(rb"[\x80-\xff]+", b"\n".join(_odd_lines(sample)))
    return sum(len(run) for run in runs if len(run) > 2) * 2 <= sum(map(len, runs))


def _odd_lines(sample: bytes) -> Iterator[bytes]:
    return (text for text in sample.split(b"\n") if not text.isascii())


def _guessed(words: Iterable[bytes], sample: bytes, location: str, line: int) -> Encoding:
    """Western accents, or another script, which the frequent letters of its language tell from enough text."""
    odd = b"\n".join(_odd_lines(sample))
    guess: str | None = _WESTERN
    scripts: list[str] = []
    if not _western(sample):
        scripts = _scripts(words, odd)
        guess = scripts[0] if len(scripts) == 1 and sum(byte >= 0x80 for byte in odd) >= _ENOUGH else None
    absurd = _absurd_in(words, guess) if guess else None
    if guess and absurd == "":
        return Encoding(guess, _letters(words, guess))
    why = f": as {guess} it would have {absurd or 'bytes that stand for nothing'} inside words" if guess else ""
    names = scripts or [name for name in (_OTHERS if _western(sample) else ()) if _makes_words(words, name)]
    likely = f" It could be {', '.join(f'{name} ({_letters(words, name)})' for name in names)}." if names else ""
    such = names[0] if names else "cp1250"
    raise ExportUnreadable(
        f"{location}, line {line}: the encoding cannot be settled{why}.{likely} Name it with --encoding, such as --encoding {such}"
        f' (or `[file] encoding = "{such}"` in a dialect of your own), or export again as UTF-8.'
    )


def _absurd_in(words: Iterable[bytes], encoding: str) -> str | None:
    """The signs that the words would have and no word of a Western language has, none for another script; None if they cannot be read."""
    found, mixed, letters, read = Counter[str](), Counter[str](), set[str](), 0
    western = encoding in {_WESTERN, *_OTHERS}
    for word in words:
        try:
            text = word.decode(encoding)
        except UnicodeDecodeError:
            if western:
                return None
            continue  # a word's end may be cut where a character of two bytes has a letter as its second
        letters.update(text)
        found.update(sign.group() for sign in _ABSURD.finditer(text) if western or sign["control"])
        found.update(sign.group() for sign in _LONE.finditer(text))
        mixed.update(sign.group() for sign in itertools.islice(_MIXED.finditer(text), 1))
        read += 1
    if mixed.total() * 3 > read:
        found.update(mixed)
    if encoding == _WESTERN and letters & _NORTHERN and (letters & _NOT_ICELANDIC or not letters & _ICELANDIC):
        found.update(letters & _NORTHERN)
    return ", ".join(repr(sign)[1:-1] for sign, _ in sorted(found.items(), key=_by_count)[:_SHOWN])


def _makes_words(words: Iterable[bytes], encoding: str) -> bool:
    """True if all bytes beyond ASCII are letters in this encoding, and no word is absurd."""
    return _absurd_in(words, encoding) == "" and all(word.decode(encoding, errors="replace").isalpha() for word in words)


def _letters(words: Iterable[bytes], encoding: str) -> str:
    """The letters beyond ASCII that the words have in this encoding, most frequent first."""
    counts = Counter(sign for word in words for sign in set(word.decode(encoding, errors="ignore")) if ord(sign) >= 0x80)
    return ", ".join(f"{repr(sign)[1:-1]} {words_with}" for sign, words_with in sorted(counts.items(), key=_by_count)[:_SHOWN])


def _by_count(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def _scripts(words: Iterable[bytes], odd: bytes) -> list[str]:
    """The encodings of other scripts than Latin that make words of the text, more than one where none is far ahead of the others."""
    words = sorted(words)
    shares = {name: _share_of_letters(words, name) for name in _SCRIPTS}
    best = max(shares, key=lambda name: shares[name])
    likely = [name for name, share in shares.items() if share >= _HALF and _rivals(words, best, name)]
    return likely + _east_asian(odd)


def _rivals(words: Sequence[bytes], best: str, other: str) -> bool:
    """True if ``other`` makes nearly as much of those words that it reads otherwise than ``best``; ``best`` is its own rival."""
    apart = [word for word in words if word.decode(best, "replace") != word.decode(other, "replace")]
    return other == best or (bool(apart) and _share_of_letters(apart, other) > _share_of_letters(apart, best) - _AHEAD)


def _share_of_letters(words: Sequence[bytes], encoding: str) -> float:
    """The share of the script's frequent letters among the characters beyond ASCII, less that of words with other signs in them."""
    letters, frequent, beyond, whole = _SCRIPTS[encoding], 0, 0, 0
    for word in words:
        text = word.decode(encoding, "replace")
        own = [sign for sign in text if ord(sign) >= 0x80 and unicodedata.category(sign) != "Mn"]
        frequent += sum(unicodedata.normalize("NFD", sign)[0].casefold() in letters for sign in own)
        beyond += len(own)
        whole += all(sign.isalpha() or unicodedata.category(sign) == "Mn" for sign in text) and not _MIXED.search(text)
    return frequent / beyond * whole / len(words) if beyond else 0.0


def _east_asian(odd: bytes) -> list[str]:
    """The encodings of East Asia that make common signs of the text: Korean has no other than syllables, Japanese has kana among them."""
    texts = {name: [sign for sign in odd.decode(name, "replace") if ord(sign) >= 0x80] for name in _COMMON}
    found = [name for name, signs in texts.items() if signs and sum(map(_COMMON[name], signs)) >= _COMMON_SIGNS * len(signs)]
    kana = sum("\u3041" <= sign <= "\u30fe" for sign in texts["euc-jp"]) * 10 >= len(texts["euc-jp"])
    syllables = len(texts["euc-kr"]) >= _ENOUGH and all(map(_COMMON["euc-kr"], texts["euc-kr"]))
    told = {"euc-kr": syllables, "euc-jp": kana}
    return next(([name] for name in found if told.get(name)), found)


def _leads(encoding: str, first: int, last: int) -> Callable[[str], bool]:
    """Tell the signs whose first byte is between two: the common ones come first in these tables."""

    def is_common(sign: str) -> bool:
        code = sign.encode(encoding, "ignore")
        return len(code) == 2 and first <= code[0] <= last

    return is_common


_kanji = _leads("euc_jp", 0xA1, 0xCF)
_hanzi = _leads("gb2312", 0xB0, 0xD7)
_COMMON: dict[str, Callable[[str], bool]] = {
    "cp932": _kanji,
    "euc-jp": _kanji,
    "gb18030": _hanzi,
    "big5": _leads("big5", 0xA1, 0xC6),
    "euc-kr": lambda sign: "\uac00" <= sign <= "\ud7a3",
}
"""For each encoding of East Asia, the signs that are common in its language."""
