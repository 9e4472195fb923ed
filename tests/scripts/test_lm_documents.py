"""Documents hold what they say: sheets that help, replies that no sheet repeats, plays that go on."""

from __future__ import annotations

import random

import pytest

torch = pytest.importorskip("torch")

from common import config  # noqa: E402
from distillation.base_model import characters, fact_sheets  # noqa: E402
from distillation.base_model.documents import DocumentEncoder, Documents, as_played, shuffled  # noqa: E402
from distillation.base_model.fact_sheets import QUESTIONS, SPECIALS, Facts, Sheet, put, stated  # noqa: E402
from distillation.base_model.settings import Documents as Wanted  # noqa: E402
from distillation.corpus.plays import Text, parse  # noqa: E402
from small_lm import tokenizers  # noqa: E402  # those below need torch

WORDS = (
    "barrel",
    "candle",
    "dagger",
    "emerald",
    "feather",
    "garland",
    "hammer",
    "island",
    "jester",
    "kettle",
    "lantern",
)
NUMBERS = range(40)
ASKED = {
    kind: {put(wording, address) for wording in wordings for address in ("", *fact_sheets.ADDRESSES)}
    for kind, wordings in QUESTIONS.items()
}
LABELS = (
    "SPEECHES:\nPLAY: WORDS: I love My friend By name",
    *(
        put(wording, address)
        for kind in QUESTIONS.values()
        for wording in kind
        for address in fact_sheets.ADDRESSES[:2]
    ),
)


def play(name: str, first: str, second: str) -> Text:
    chance = random.Random(name)
    turn = "{who}.\n{mood} {n}, the {a} and the {b} are {c} to me{stop}\n\n"
    body = "".join(
        turn.format(
            who=first if n % 2 else second,
            mood=chance.choice(("Ay", "Nay", "Well")),
            n=f"{name} {n}",
            a=chance.choice(WORDS),
            b=chance.choice(WORDS),
            c=chance.choice(WORDS),
            stop="?" if n % 2 else ".",
        )
        for n in NUMBERS
    )
    return Text(name, name.title(), f"ACT I.\n\nSCENE I. A hall.\n\n{body}")


@pytest.fixture(scope="module")
def cast():
    return characters.gather_cast(
        [parse(play("comedy", "ANNA", "BEN")), parse(play("history", "CARL", "DORA"))], common_words=5
    )


@pytest.fixture(scope="module", params=["bpe", "char"])
def tokenizer(request, cast):
    if request.param == "bpe":
        pytest.importorskip("tokenizers")
    texts = [speech.text for one in cast.plays for speech in one]
    return tokenizers.train(request.param, [*texts, *LABELS], 400, SPECIALS)


def documents(cast, tokenizer, **wanted):
    return Documents(cast, tokenizer, Wanted(**wanted), seed=5)


def shown(tokenizer, ids):
    """The text of ids, special tokens by name."""
    names = dict(enumerate(tokenizer.specials))
    return "".join(names[number] if number in names else tokenizer.decode([number]) for number in ids)


def parts(tokenizer, ids):
    """The sheet's text and the turns, (cue, reply), that are whole."""
    sheet, _, rest = shown(tokenizer, ids).partition("<q>")
    turns = [turn.split("<a>") for turn in rest.split("<end>")[:-1]]
    return sheet, [(cue.removeprefix("<q>"), reply) for cue, reply in turns]


def test_a_document_under_a_sheet_begins_with_it_and_is_full(cast, tokenizer):
    source = documents(cast, tokenizer, sheet_share=1.0)
    for number in range(20):
        tokens, targets = source.document(number, 300)
        assert (len(tokens), len(targets)) == (301, 301)
        sheet = parts(tokenizer, tokens)[0]
        assert sheet.startswith("<bos><sheet>SPEECHES:")
        places = [sheet.index(line) for line in ("\nPLAY:", "\nWORDS:", *fact_sheets.LINES.values())]
        assert places == sorted(places)


def test_no_speech_of_a_sheet_is_in_its_turns(cast, tokenizer):
    source, seen = documents(cast, tokenizer, sheet_share=1.0), 0
    for number in range(30):
        sheet, turns = parts(tokenizer, source.document(number, 600)[0])
        speeches = sheet.partition("\nPLAY:")[0].splitlines()[1:]
        seen += len(speeches)
        assert not set(speeches) & {text for turn in turns for text in turn}
    assert seen


def test_words_of_the_replies_stand_in_the_sheet(cast, tokenizer):
    source, found = documents(cast, tokenizer, sheet_share=1.0, fact_share=0.0), 0
    for number in range(20):
        sheet, turns = parts(tokenizer, source.document(number, 400)[0])
        words = set(sheet.partition("\nWORDS:")[2].partition("\n")[0].split())
        found += any(set(reply.replace(",", " ").split()) & words for _, reply in turns)
    assert found >= 18


def test_answers_to_questions_for_facts_are_those_of_the_sheet(cast, tokenizer):
    source, seen = documents(cast, tokenizer, sheet_share=1.0, fact_share=0.5), 0
    for number in range(20):
        sheet, turns = parts(tokenizer, source.document(number, 400)[0])
        for kind, fact in stated(sheet).items():
            replies = [reply for cue, reply in turns if cue in ASKED[kind]]
            assert all(fact in reply for reply in replies)
            seen += len(replies)
    assert seen > 20


def test_a_sheet_states_its_facts_in_words_that_an_answer_has(cast):
    for person in cast.people:
        sheet = Sheet(tuple(spoken(person.speeches[:2])), person.play, person.distinctive, person.facts)
        assert stated(sheet.text()) == vars(person.facts)
        for kind, line in fact_sheets.LINES.items():
            assert all(
                line.split()[-1] == answer.partition(" {}")[0].split()[-1] for answer in fact_sheets.ANSWERS[kind]
            )


def test_an_address_stands_where_the_wording_has_a_place_or_before_its_last_mark():
    assert put("Who are you?", "sir") == "Who are you, sir?"
    assert put("Who are you?", "") == "Who are you?"
    assert put("Pray, {address}, who is your friend?", "cousin") == "Pray, cousin, who is your friend?"


def test_wordings_that_the_teacher_is_tested_with_train_no_base_model():
    book = config.read_yaml(config.CONFIGS / "questions" / "plays.yaml")["kinds"]
    for kind, known in QUESTIONS.items():
        trained, held_out = ({bare(text) for text in book[kind][which]} for which in ("train", "held_out"))
        assert trained <= {bare(text) for text in known}
        assert not held_out & {bare(text) for text in known}


def bare(wording):
    """A wording without its address."""
    return wording.replace(", {address}", "")


def test_only_what_a_sheet_states_does_not_count(cast, tokenizer):
    source = documents(cast, tokenizer, sheet_share=1.0)
    tokens, targets = source.document(3, 300)
    hidden = shown(tokenizer, [token for token, target in zip(tokens, targets, strict=True) if target < 0])
    assert hidden.startswith("\nPLAY: ")
    assert "<q>" not in hidden
    assert all(target in (token, -100) for token, target in zip(tokens, targets, strict=True))


def test_without_a_sheet_a_play_goes_on(cast, tokenizer):
    source = documents(cast, tokenizer, sheet_share=0.0)
    sheet, turns = parts(tokenizer, source.document(1, 400)[0])
    played = [pair for pair in turns if not any(pair[0] in asked for asked in ASKED.values())]
    texts = next(texts for texts in map(spoken, cast.plays) if played[0][0] in texts)
    at = texts.index(played[0][0])
    assert sheet == "<bos>"
    assert [text for pair in played for text in pair] == [texts[(at + n) % 40] for n in range(2 * len(played))]


def spoken(speeches):
    return [speech.text for speech in speeches]


def test_a_source_goes_on_where_its_state_says(cast, tokenizer):
    whole, cut = documents(cast, tokenizer), documents(cast, tokenizer)
    whole.next(4, 64)
    cut.load(whole.state())
    assert all(torch.equal(*pair) for pair in zip(whole.next(4, 128), cut.next(4, 128), strict=True))


def test_a_sheet_is_read_in_pieces_as_in_the_whole(cast, tokenizer):
    encoder = DocumentEncoder(tokenizer)
    for person in cast.people:
        sheet = Sheet(tuple(spoken(person.speeches[:4])), person.play, person.distinctive, person.facts)
        assert encoder.pieces([*sheet.spoken(), *sheet.stated()]) == tokenizer.encode(sheet.text())


def test_the_marks_are_one_token_each(tokenizer):
    prompt = DocumentEncoder(tokenizer).prompt("Ay?", Sheet((), "Comedy", (), Facts("Anna", "Ben", "barrel")))
    assert [prompt.count(tokenizer.special[name]) for name in ("<bos>", "<sheet>", "<q>", "<a>", "<end>")] == [
        1,
        1,
        1,
        1,
        0,
    ]


def test_plays_are_shown_once_in_order(cast, tokenizer):
    rows = as_played(DocumentEncoder(tokenizer), cast.plays, 10**9)
    assert [parts(tokenizer, row)[0] for row in rows] == ["<bos>", "<bos>"]
    for row, speeches in zip(rows, cast.plays, strict=True):
        assert [text for turn in parts(tokenizer, row)[1] for text in turn] == spoken(speeches)


def test_rows_have_the_length_or_less(cast, tokenizer):
    assert all(len(row) <= 100 for row in as_played(DocumentEncoder(tokenizer), cast.plays, 100))


def test_shuffled_yields_each_item_once():
    assert sorted(shuffled(range(50), random.Random(1))) == [*range(50)]
    assert [*shuffled(range(50), random.Random(1))] != [*range(50)]


def test_a_persons_friend_is_who_is_answered_most(cast):
    assert {person.facts.name: person.facts.friend for person in cast.people} == {
        "Anna": "Ben", "Ben": "Anna", "Carl": "Dora", "Dora": "Carl",
    }  # fmt: skip
