"""
Who can be in a tale, where it can happen and what there is: beings, places and things that belong together.

A world is a set of kinds and places that fit: no lion comes to the village school, and no child lives in a burrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from weave import article, listed

__all__ = listed("KINDS PLACES WORLDS Being Place Thing being friend_of parent_of thing world_of")

GIRLS = listed(
    "Mia Lily Anna Emma Lucy Ella Rosa Nina Sara Maya Zoe Ruby Clara Alice Ivy Leah Nora Tara Amina Lena Molly "
    "Sofia Kate Daisy Grace Holly Ida Jane June Meg Polly Tess Wendy Asha Bella Cora Dora Eva Flora Hana Ines Kira "
    "Lola Mina Nell Priya Rita Suki Uma Vera Yara"
)
BOYS = listed(
    "Tom Ben Sam Leo Max Jack Tim Finn Oscar Noah Adam Jonas Luca Felix Henry Omar Ravi Paul Peter Eric Theo Hugo "
    "Ned Joe Dan Alex Bruno Carlo David Emil Fred George Hans Ivan Jamie Karim Liam Milo Nico Otto Pablo Robin "
    "Simon Toby Victor Walter Yusuf Zack Anton"
)
SHE_ANIMALS = listed(
    "Poppy Dot Fern Hazel Clover Daisy Pearl Rosie Honey Bella Tansy Willow Misty Penny Tilly Bonnie Lulu Coco "
    "Nutmeg Snowy Minnie Goldie Olive Pippa Sunny Pinky Kiki Juniper Maple Berry Dolly Bluebell Biscuit Mossy "
    "Peaches"
)
HE_ANIMALS = listed(
    "Pip Rusty Bramble Barney Oakley Thistle Bobo Chip Rufus Teddy Basil Benny Duke Gus Jasper Monty Mungo Nibbles "
    "Patch Pepper Rocky Scout Sparky Tango Toffee Whiskers Ziggy Bumble Button Conker Dusty Fidget Humphrey Wally "
    "Pebble"
)

# kind: (world, home, hand, food, call)
KINDS: dict[str, tuple[str, str, str, str, str]] = {
    "fox": ("forest", "a den under [an old oak|a tall pine] tree", "paw", "berries", "barked"),
    "bear": ("forest", "a [warm|dry|cosy] cave on the hill", "paw", "honey", "growled"),
    "rabbit": ("forest", "a burrow under [the hedge|a thorn bush|the roots of a tree]", "paw", "carrots", "squeaked"),
    "squirrel": ("forest", "a [nest|hole] high in [an oak|a beech] tree", "paw", "nuts", "chattered"),
    "hedgehog": ("forest", "a bed of leaves under the hedge", "paw", "pears", "snuffled"),
    "mouse": ("forest", "a tiny house under a [root|stone|mushroom]", "paw", "seeds", "squeaked"),
    "badger": ("forest", "a deep burrow with three doors", "paw", "roots", "grunted"),
    "deer": ("forest", "a [quiet|green|hidden] part of the forest", "hoof", "leaves", "bleated"),
    "owl": ("forest", "a hollow tree", "wing", "seeds", "hooted"),
    "mole": ("forest", "a house under the ground with long halls", "paw", "roots", "squeaked"),
    "dog": ("farm", "a wooden house in the yard", "paw", "bones", "barked"),
    "cat": ("farm", "a basket by the [stove|kitchen door]", "paw", "milk", "meowed"),
    "pig": ("farm", "a pen with clean straw", "hoof", "apples", "grunted"),
    "lamb": ("farm", "a green field with a [stone wall|white fence]", "hoof", "grass", "bleated"),
    "goat": ("farm", "a shed beside the barn", "hoof", "hay", "bleated"),
    "hen": ("farm", "a red hen house", "wing", "corn", "clucked"),
    "pony": ("farm", "a stable with a [blue|green] door", "hoof", "oats", "neighed"),
    "cow": ("farm", "a big barn full of hay", "hoof", "grass", "mooed"),
    "donkey": ("farm", "a stall at the end of the barn", "hoof", "hay", "brayed"),
    "duck": ("pond", "a nest among the reeds", "wing", "bread", "quacked"),
    "frog": ("pond", "a [house|bed] under a lily leaf", "foot", "water plants", "croaked"),
    "goose": ("pond", "a nest on the bank", "wing", "grass", "honked"),
    "otter": ("pond", "a hole in the river bank", "paw", "water roots", "whistled"),
    "turtle": ("pond", "a little house on a [sunny|mossy] bank", "foot", "water plants", "hummed"),
    "beaver": ("pond", "a lodge made of sticks", "paw", "bark", "chattered"),
    "swan": ("pond", "a quiet corner of the pond", "wing", "water plants", "honked"),
    "lion": ("grassland", "a cave among the rocks", "paw", "stew", "roared"),
    "elephant": ("grassland", "a [shady place|clearing] under the big trees", "foot", "leaves", "trumpeted"),
    "monkey": ("grassland", "the top of a tall fig tree", "hand", "bananas", "chattered"),
    "zebra": ("grassland", "a [wide|green] plain with yellow flowers", "hoof", "grass", "snorted"),
    "giraffe": ("grassland", "a grove of tall trees", "hoof", "leaves", "hummed"),
    "hippo": ("grassland", "the mud by the great river", "foot", "grass", "snorted"),
    "tiger": ("grassland", "a den behind the tall grass", "paw", "stew", "growled"),
    "penguin": ("snow", "a little house of snow", "wing", "fish soup", "called"),
    "seal": ("snow", "a cave by the cold sea", "flipper", "fish soup", "barked"),
    "polar bear": ("snow", "a cave in the snow", "paw", "fish soup", "growled"),
}
ALWAYS_SHE = ("girl", "woman", "hen", "cow")
HUMAN = ("girl", "boy", "woman", "man")
_TOWN_HOMES = (
    "a [small|white|little yellow|tall|narrow|tidy] house [by the river|at the edge of the "
    "village|near the park|on a quiet street|at the top of the hill|with a green gate|with a red "
    "roof]",
    "a [small|bright|cosy] flat [above the bakery|above a shop|near the station|on the third floor]",
    "a [little|quiet|busy] [village|town] [by the sea|near the hills|beside a wide river|not far from the woods]",
    "a farmhouse with a [blue|green|red] door",
)


@dataclass(frozen=True, slots=True)
class Being:
    """A character.  `kind` is "girl", "boy" or an animal; `age` the adjective used of it."""

    name: str
    kind: str
    female: bool
    age: str = "little"
    home: str = ""
    food: str = "soup"
    hand: str = "hand"
    call: str = "called"
    known: bool = False  # a title such as "Mum" or "Grandpa": never "named Mum"

    def __str__(self) -> str:
        return self.name

    @property
    def he(self) -> str:
        return "she" if self.female else "he"

    @property
    def him(self) -> str:
        return "her" if self.female else "him"

    @property
    def his(self) -> str:
        return "her" if self.female else "his"

    @property
    def own(self) -> str:
        """Of what belongs to it, standing alone."""
        return "hers" if self.female else "his"

    @property
    def himself(self) -> str:
        return "herself" if self.female else "himself"

    @property
    def hands(self) -> str:
        return {"foot": "feet", "hoof": "hooves"}.get(self.hand, f"{self.hand}s")

    @property
    def intro(self) -> str:
        return f"{article(f'{self.age} {self.kind}')} [named|called] {self.name}"

    @property
    def aged(self) -> str:
        return f"{self.age} {self.kind}"

    @property
    def the(self) -> str:
        return f"the {self.kind}"

    @property
    def as_child(self) -> bool:
        return self.kind in ("girl", "boy")

    @property
    def label(self) -> str:
        """How somebody who asks is told who this is."""
        return self.name if self.known or self.kind in HUMAN else f"{self.name} the {self.kind}"


@dataclass(frozen=True, slots=True)
class Place:
    """`name` with its article; `at` and `through` with the preposition; `spots` where something can lie hidden."""

    name: str
    at: str
    spots: tuple[str, ...]
    sights: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Thing:
    """An object with one look, which stays."""

    noun: str
    look: str

    def __str__(self) -> str:
        return self.noun

    @property
    def full(self) -> str:
        return f"{self.look} {self.noun}"


def _place(name: str, at: str, spots: str, sights: str) -> Place:
    return Place(name, f"{at} {name}", tuple(spots.split(", ")), tuple(sights.split(", ")))


PLACES: dict[str, tuple[Place, ...]] = {
    "town": (
        _place(
            "the park",
            "in",
            "under the old bench, behind the slide, beside the fountain, in a bush near the gate, under "
            "a pile of leaves, behind a big tree",
            "children on the swings, a dog with a stick, ducks on the pond, an old man feeding the "
            "birds, a boy with an ice cream",
        ),
        _place(
            "the garden",
            "in",
            "under the apple tree, behind the shed, between the roses, in the tall grass, beside the "
            "well, under the wheelbarrow",
            "a bee on a flower, a snail on a leaf, two white butterflies, a robin on the fence, an ant with a crumb",
        ),
        _place(
            "the beach",
            "on",
            "behind a rock, under an old boat, in a small pool, next to a sand castle, under some seaweed",
            "a crab in a pool, a boat with a white sail, gulls in the sky, children with buckets, long green seaweed",
        ),
        _place(
            "the market",
            "at",
            "under a table, behind the fruit stand, next to a basket of eggs, between two sacks, beside "
            "the flower seller",
            "baskets of red apples, a woman selling flowers, a man with a funny hat, big round cheeses, "
            "a boy with a drum",
        ),
        _place(
            "the school yard",
            "in",
            "under the steps, behind the door, beside the sandpit, near the gate, under a bench",
            "a game of tag, two girls with a rope, a boy with a book, a paper plane, the teacher with her bell",
        ),
        _place(
            "the woods",
            "in",
            "under a fern, behind a log, in a hollow tree, beside a mossy stone, under a bush",
            "a squirrel with a nut, a deer between the trees, red mushrooms, a bird with a worm, a tiny frog",
        ),
    ),
    "forest": (
        _place(
            "the forest",
            "in",
            "under a fern, behind a log, in a hollow tree, beside a mossy stone, under a pile of leaves, "
            "between the roots of an oak",
            "a snail on a leaf, red mushrooms, a spider in its web, a line of ants, a woodpecker at work",
        ),
        _place(
            "the meadow",
            "in",
            "in the tall grass, behind a molehill, beside a thistle, under a bush, next to a flat stone",
            "white butterflies, bees on the clover, a lark high in the sky, yellow flowers, a green beetle",
        ),
        _place(
            "the hill",
            "on",
            "behind a rock, under a thorn bush, in a patch of heather, next to the old wall, beside a fallen tree",
            "the whole valley below, a hawk in the sky, blue flowers, a shepherd far away, the river like a ribbon",
        ),
        _place(
            "the stream",
            "by",
            "between two stones, under the little bridge, in the reeds, behind a willow, under a root",
            "a blue dragonfly, tiny silver fish, a floating leaf, a wagtail on a stone, water beetles",
        ),
    ),
    "farm": (
        _place(
            "the farmyard",
            "in",
            "under the cart, behind the barn, in the hay, beside the well, next to the water trough, behind a bucket",
            "the farmer with a bucket, hens in the dust, a swallow on the roof, the big blue tractor, a row of geese",
        ),
        _place(
            "the orchard",
            "in",
            "under an apple tree, in the tall grass, behind a ladder, beside a basket, next to the beehive",
            "bees on the blossoms, ripe apples, a blackbird on a branch, a ladder against a tree, a butterfly",
        ),
        _place(
            "the field",
            "in",
            "behind the scarecrow, under the hedge, in a ditch, beside the gate, next to a bale of straw",
            "the old scarecrow, a kite in the sky, crows on the fence, yellow corn, poppies by the path",
        ),
    ),
    "pond": (
        _place(
            "the pond",
            "by",
            "in the reeds, under a lily leaf, behind a stone, beside the old boat, in the mud, under the jetty",
            "a blue dragonfly, tiny silver fish, a water spider, pink water lilies, rings on the water",
        ),
        _place(
            "the river",
            "by",
            "between two stones, under the bridge, behind a willow, in the rushes, on a little island",
            "a boat with an oar, a heron on one leg, a leaf like a ship, a kingfisher, round white stones",
        ),
    ),
    "grassland": (
        _place(
            "the river",
            "by",
            "between two stones, behind a fallen tree, in the reeds, under a bush, in the mud",
            "birds with long legs, a herd of antelopes, a butterfly on a stone, fish under the water, a "
            "nest in the reeds",
        ),
        _place(
            "the tall grass",
            "in",
            "behind an ant hill, under a thorn bush, beside a round stone, in a hole, next to a dry log",
            "a line of ants, a bright green beetle, a bird with a red tail, an ant hill as tall as a "
            "tree, yellow flowers",
        ),
        _place(
            "the jungle",
            "in",
            "under a huge leaf, behind a root, in a hollow tree, beside the waterfall, under a vine",
            "parrots in the trees, a blue butterfly, a long vine, drops on a web, flowers as big as plates",
        ),
    ),
    "snow": (
        _place(
            "the ice",
            "on",
            "behind a block of ice, in a snowdrift, beside a hole in the ice, under the snow, next to a frozen rock",
            "a whale far away, stars above the ice, a white bird, the green light in the sky, a ship on the sea",
        ),
        _place(
            "the shore",
            "on",
            "behind a rock, under an old net, between two stones, in a snowdrift, next to an old barrel",
            "waves with white tops, a gull on a rock, a crab under a stone, a ship with lights, shells in the sand",
        ),
    ),
}
WORLDS = tuple(PLACES)
_COLOURS = "red blue green yellow orange purple pink white brown"


def _stock(text: str) -> dict[str, tuple[str, ...]]:
    lines = (line.split(":") for line in text.strip().splitlines())
    return {noun.strip(): tuple(looks.replace("*", _COLOURS).split()) for noun, looks in lines}


STOCK: dict[str, dict[str, tuple[str, ...]]] = {
    "toy": _stock("""
        ball: * bouncy
        kite: red blue green yellow purple paper
        drum: red blue little wooden
        boat: red blue wooden paper
        doll: rag little wooden
        teddy bear: brown old soft little white
        spinning top: red yellow wooden painted
        toy train: red green wooden little
        whistle: silver wooden tin little
        puppet: wooden funny painted
        skipping rope: red long blue
        cart: red little wooden
        balloon: red blue green yellow purple pink white"""),
    "wear": _stock("""
        hat: * straw pointed
        scarf: * woolly striped warm
        cap: red blue green yellow
        glove: red blue woolly green
        ribbon: red blue yellow pink white
        blanket: soft blue warm yellow striped"""),
    "treasure": _stock("""
        shell: white pink shiny spotted
        stone: smooth shiny round speckled blue
        feather: white blue long golden
        key: golden silver rusty tiny
        coin: golden silver old shiny
        button: golden red shiny blue
        ring: golden silver tiny
        bell: golden silver little
        marble: green blue glass yellow"""),
    "food": _stock("""
        cake: chocolate lemon big honey
        pie: apple cherry berry warm
        loaf of bread: warm fresh big
        pear: ripe yellow sweet juicy
        apple: red green juicy ripe
        melon: big sweet ripe
        bun: sweet warm sticky
        pancake: big warm golden"""),
    "made": _stock("""
        boat: little wooden
        kite: paper red
        swing: wooden little
        raft: strong little
        bird house: little wooden
        cart: little wooden
        tree house: small fine
        bench: strong wooden
        bridge: little strong
        garland: long pretty
        basket: round strong"""),
}


def world_of(kind: str) -> str:
    return "town" if kind in ("girl", "boy") else KINDS[kind][0]


def being(rng: Random, kind: str, taken: Sequence[str] = (), female: bool | None = None) -> Being:
    """A character of this kind with a name that nobody else has."""
    if female is None:
        female = rng.random() < 0.5
    female = kind in ALWAYS_SHE or (female and kind not in HUMAN)
    age = rng.choice(("little", "little", "young", "small"))
    if kind in HUMAN:
        return Being(_name(rng, GIRLS if female else BOYS, taken), kind, female, age, rng.choice(_TOWN_HOMES))
    _, home, hand, food, call = KINDS.get(kind, ("", "a nest", "wing", "seeds", "called"))
    name = _name(rng, SHE_ANIMALS if female else HE_ANIMALS, taken)
    return Being(name, kind, female, age, home, food, hand, call)


def _name(rng: Random, names: Sequence[str], taken: Sequence[str]) -> str:
    return rng.choice([name for name in names if all(name[:2] != other[:2] for other in taken)])


def friend_of(rng: Random, hero: Being, taken: Sequence[str] = ()) -> Being:
    """Somebody of the same world; mostly of the other sex, so that "he" and "she" say who is meant."""
    female = not hero.female if rng.random() < 0.8 else hero.female
    if hero.as_child:
        return being(rng, "girl" if female else "boy", taken)
    world = world_of(hero.kind)
    kinds = [kind for kind, entry in KINDS.items() if entry[0] == world and kind != hero.kind]
    return being(rng, rng.choice(kinds), taken, female)


def parent_of(rng: Random, hero: Being) -> Being:
    """Mother or father, grandmother or grandfather."""
    female = rng.random() < 0.5
    if hero.as_child:
        name = rng.choice(("Mum", "Mum", "Grandma") if female else ("Dad", "Dad", "Grandpa"))
        return Being(name, "woman" if female else "man", female, "kind", known=True)
    title = rng.choice(
        ("Mother", "Mother", "Granny") if female or hero.kind in ALWAYS_SHE else ("Father", "Father", "Grandpa")
    )
    kind = " ".join(word.capitalize() for word in ("sheep" if hero.kind == "lamb" else hero.kind).split())
    return Being(f"{title} {kind}", hero.kind, title in ("Mother", "Granny"), "old", known=True)


def thing(rng: Random, sort: str, noun: str | None = None) -> Thing:
    """A thing of this sort, with a look that such a thing can have."""
    noun = noun or rng.choice(list(STOCK[sort]))
    return Thing(noun, rng.choice(STOCK[sort][noun]))
