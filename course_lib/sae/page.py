"""All features of an autoencoder as one HTML page that needs no network.

The page holds a card for every feature that was on somewhere, and a field that filters the cards
by any word on them. It is plain HTML with ten lines of script; without the script all cards show.
"""

from __future__ import annotations

import html
from pathlib import Path

from course_lib.sae.cards import Example, FeatureCard, FeatureIndex, feature_card

STYLE = """
body { font: 16px/1.45 sans-serif; max-width: 62rem; margin: 1rem auto; padding: 0 1rem; }
section { border-top: 1px solid #767676; padding: .3rem 0 .8rem; }
h2 { font-size: 1.05rem; margin: .4rem 0; } p, ul { margin: .25rem 0; }
mark { color: #000000; padding: 0 .15rem; border-bottom: 2px solid #0072B2; }
sub { font-size: .75rem; } input { font-size: 1rem; width: 20rem; }
"""
SCRIPT = """
const field = document.getElementById('find'), said = document.getElementById('said');
const cards = [...document.querySelectorAll('section')];
function filter() {
  const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let n = 0;
  for (const card of cards) {
    const all = ' ' + card.textContent.toLowerCase().replace(/[^\\p{L}\\p{N}-]+/gu, ' ') + ' ';
    card.hidden = !words.every(word => all.includes(' ' + word));
    n += !card.hidden;
  }
  said.textContent = n + ' of ' + cards.length + ' features';
}
field.addEventListener('input', filter); filter();
"""


def write_page(index: FeatureIndex, path: str | Path, title: str = "Features of course-sae") -> int:
    """Write the page and return the number of cards on it.

    Parameters
    ----------
    index : FeatureIndex
        From `index_features`; some hundred texts.
    path : str or Path
        The file to write; its folder must exist.
    title : str

    Notes
    -----
    Cost: no forward pass; some seconds.
    """
    alive = [f for f in range(index.features) if len(index.active(f)[0])]
    alive.sort(key=lambda feature: -len(index.active(feature)[0]))
    cards = [card_html(feature_card(index, feature, examples=4)) for feature in alive]
    silent = index.features - len(alive)
    text = (
        f"{len(index.tokens)} tokens of {index.document.max() + 1} generated texts. {silent} of "
        f"{index.features} features were on nowhere and are left out. The features that are on "
        "most often come first. A number after a word is the strength there; words are underlined "
        "where the feature is on. Under promoted and suppressed stand the words whose logit the "
        "direction moves most, in standard deviations over the vocabulary."
    )
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        f"</title><style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1><p>{text}</p>"
        '<p><label>Show cards with the words <input id="find" type="search"></label> '
        f'<span id="said" role="status"></span></p>{"".join(cards)}<script>{SCRIPT}</script>'
        "</body></html>\n"
    )
    Path(path).write_text(page, encoding="utf-8")
    return len(cards)


def card_html(card: FeatureCard) -> str:
    """One card as a section with a heading."""
    on_at = ", ".join(f"{html.escape(word)} {share:.0%}" for word, share in card.words)
    effects = "".join(
        f"<p><b>{name}:</b> " + ", ".join(f"{html.escape(w)} {s:+.1f}" for w, s in scored) + "</p>"
        for name, scored in (("Promoted", card.promoted), ("Suppressed", card.suppressed))
    )
    lists = "".join(
        f"<p><b>{name}:</b></p><ul>{''.join(f'<li>{example_html(e)}</li>' for e in examples)}</ul>"
        for name, examples in (("Strongest", card.top), ("Weaker", card.spread))
        if examples
    )
    counts = " ".join(str(n) for n in card.histogram)
    return (
        f'<section id="f{card.feature}"><h2>Feature {card.feature}</h2><p>On at '
        f"{card.density:.2%} of the tokens, strength up to {card.maximum:.1f}. Tokens in "
        f"{len(card.histogram)} equal steps from weak to strong: {counts}</p>"
        f"<p><b>On at:</b> {on_at}</p>{effects}{lists}</section>"
    )


def example_html(example: Example) -> str:
    """A text whose active words are underlined, shaded by strength, and carry the number."""
    largest = max(example.strengths) or 1.0
    words = []
    for number, (token, strength) in enumerate(zip(example.tokens, example.strengths, strict=True)):
        text = html.escape(token)
        if strength > 0:
            shade = f"rgba(0,114,178,{0.1 + 0.35 * strength / largest:.2f})"
            value = f"<sub>{strength:.0f}</sub>"
            bold = f"<b>{text}</b>" if number == example.place else text
            text = f'<mark style="background:{shade}">{bold}{value}</mark>'
        words.append(text)
    return " ".join(words)
