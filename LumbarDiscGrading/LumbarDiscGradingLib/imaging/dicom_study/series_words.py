"""The words of a series' labels that tell how it was acquired; any other word may name the patient and is not shown."""

from __future__ import annotations

import re

ACQUISITION_WORDS = re.compile(
    r"sag(?:g?it+al)?|cor(?:onal)?|ax(?:ial)?|tra(?:ns(?:versal|verse)?)?|oblique|"
    r"t1w?|t2w?|pdw?|stir|tirm|flair|dwi|adc|dixon|ideal|mdixon|"
    r"i?tse|fse|frfse|xl|se|ge|gre|ffe|tfe|vfl|haste|space|cube|vista|view|medic|merge|ciss|fiesta|trufi|myelo|"
    r"fs|fatsat|fat|sat|spair|spir|water|wfs|in|out|opp|phase|ip|op|dl|"
    r"lumbar|lumbal|lumb|lws|bws|hws|spine|whole|thoracic|cervical|sacrum|isg|l|s|c|"
    r"loc|localizer|localiser|survey|scout|plane|pl|mobiview|composed|mpr|mip|sub|"
    r"gd|km|contrast|pre|post|nativ|native|mm|iso|2d|3d|hr|fast|drive|rst|p2|p3|br|"
    r"\d{1,2}"
)


def acquisition_words(labels: str) -> str:
    """Return the words of some labels that tell how an image was acquired, in their order, each once.

    Parameters
    ----------
    labels : str
        Description, protocol and sequence name, in lower case.
    """
    words = re.split(r"[\W_]+", labels)
    return " ".join(dict.fromkeys(word for word in words if ACQUISITION_WORDS.fullmatch(word)))
