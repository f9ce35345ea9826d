import dataclasses

import numpy as np
import pytest

from jaxgan.data import Vocabulary, scenes
from jaxgan.data.vocabulary import split_words
from jaxgan.errors import UserError

CAPTIONS = ["a red seven", "A blue two, on grey!", "a bird's 7"]


def test_numbers_and_words_are_one_to_one():
    vocabulary = Vocabulary.of(CAPTIONS)
    assert vocabulary.words == ("7", "a", "bird's", "blue", "grey", "on", "red", "seven", "two")
    assert vocabulary.size == 11
    assert vocabulary.length == 5
    for caption in CAPTIONS:
        row = vocabulary.encode(caption)
        assert (row.dtype, row.shape) == (np.int32, (5,))
        read = [vocabulary.words[number - 2] for number in row if number]
        assert read == split_words(caption)
        assert not row[len(read) :].any()
        assert vocabulary.unknown_words(caption) == ()


def test_unknown_words_are_told_once_and_encoded_as_one_number():
    vocabulary = Vocabulary.of(CAPTIONS)
    assert vocabulary.unknown_words("a purple, red cat; Purple") == ("purple", "cat")
    row = vocabulary.encode("a purple red cat")
    assert row[1] == row[3] == 1
    assert row[2] > 1
    assert row[4] == 0


def test_a_long_caption_is_cut_off():
    vocabulary = Vocabulary.of(CAPTIONS, length=2)
    np.testing.assert_array_equal(
        vocabulary.encode("a red seven"), Vocabulary.of(CAPTIONS).encode("a red")[:2]
    )


def test_it_is_its_fields():
    vocabulary = Vocabulary.of(CAPTIONS)
    fields = dataclasses.asdict(vocabulary)
    again = Vocabulary(tuple(fields["words"]), fields["length"])
    assert again == vocabulary
    np.testing.assert_array_equal(again.encode("a two"), vocabulary.encode("a two"))


def test_every_word_of_the_scenes_is_soon_seen():
    train, unseen = scenes("train", two=0.5), scenes("unseen", two=0.5)
    vocabulary = Vocabulary.of(caption for i in range(500) for caption in train.captions(i))
    for i in range(300):
        assert vocabulary.unknown_words(unseen.captions(i)[0]) == ()
    assert vocabulary.size < 80


@pytest.mark.parametrize("caption", ["", "  ", "...", "\n"])
def test_an_empty_caption_is_refused(caption):
    vocabulary = Vocabulary.of(CAPTIONS)
    for call in (vocabulary.encode, vocabulary.unknown_words, lambda c: Vocabulary.of([c])):
        with pytest.raises(UserError, match=r"^caption: got .*, expected at least one word$"):
            call(caption)


def test_no_captions_and_no_length():
    with pytest.raises(UserError, match=r"^captions: got none"):
        Vocabulary.of([])
    with pytest.raises(UserError, match=r"^length: got 0, expected 1 or more"):
        Vocabulary.of(CAPTIONS, length=0)
