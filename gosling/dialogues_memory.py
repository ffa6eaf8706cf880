"""Facts that the user tells, and asks for some turns later."""

from __future__ import annotations

from talker import Talk, scene
from weave import listed

_PETS = listed("dog cat rabbit hamster parrot pony turtle goldfish kitten puppy guinea-pig mouse duck hen goat lamb")
_PET_NAMES = listed(
    "Rex Max Bella Luna Coco Rocky Buddy Daisy Milo Oscar Ruby Simba Tiger Fluffy Snowball Ginger Pepper Shadow "
    "Lucky Spot Socks Biscuit Muffin Charlie Lola Nala Bruno Toby Felix Smoky Cookie Peanut Bubbles Sparky Misty "
    "Poppy Rosie Teddy Zorro Bingo"
)
_COLOURS = listed("red blue green yellow orange purple pink white black brown grey")
_FOODS = listed(
    "pizza, soup, rice, apples, bread with honey, pancakes, noodles, cheese, carrots, strawberries, ice cream, "
    "bananas, potatoes, cherries, fish, salad, cake, beans, eggs, plums"
)
_CITIES = listed(
    "Paris, London, Rome, Berlin, Madrid, Oslo, Cairo, Tokyo, Lima, Delhi, Nairobi, Dublin, Vienna, Prague, Athens, "
    "Lagos, Boston, Sydney, a small village, a big city, a town by the sea"
)
_ANIMALS = listed(
    "dogs cats horses elephants owls foxes rabbits lions dolphins penguins bears frogs ducks tigers bees monkeys"
)
_HOBBIES = listed(
    "painting, swimming, reading, singing, dancing, football, cooking, running, fishing, chess, drawing, climbing "
    "trees, riding my bike, playing the piano, playing the drum"
)
_PEOPLE = listed("sister brother mother father aunt uncle grandmother grandfather cousin teacher neighbour friend")
_JOBS = listed(
    "teacher doctor baker farmer nurse painter driver gardener cook builder singer writer sailor tailor pilot"
)
_THINGS = listed(
    "keys, hat, book, glasses, bag, umbrella, shoes, phone, scarf, lunch box, red ball, blue cup, ticket, map, pencil"
)
_SPOTS = listed(
    "under the bed, on the table, in the kitchen, in the drawer, behind the door, on the shelf, in the garden, next "
    "to the lamp, in the red box, under the chair, in my room, on the window sill, by the stairs"
)
_NUMBERS = listed("two three four five six seven eight nine ten eleven twelve")


def _yours(text: str) -> str:
    """What the user calls his own, said to him."""
    return f" {text}".replace(" my ", " your ").strip()


def _remember(k: Talk, question: str, answer: str) -> None:
    k.told.append((question, answer))


@scene(2.5)
def own_name(k: Talk) -> None:
    if not k.once("own name"):
        return
    k.name("me")
    k.say(
        "[My name is {me}|I am {me}|I'm {me}|Call me {me}|Hi, I am {me}|Hello! My name is {me}|My "
        "name's {me}|You can call me {me}].",
        "[Hello, {me}!|Nice to meet you, {me}.|Hi, {me}! I am Gosling.|What a nice name, {me}.|It is "
        "good to meet you, {me}!] [How are you today?|What shall we do?|What would you like to talk "
        "about?|I will remember it.|]",
    )
    remember_name(k)


def remember_name(k: Talk) -> None:
    """The name under "me" is to be asked for."""
    _remember(
        k,
        "[What is my name|Do you remember my name|Do you know my name|What's my name|Who am I|Can "
        "you tell me my name]?",
        "[Your name is {me}.|You are {me}.|You told me that your name is {me}.]",
    )


@scene(3)
def pet(k: Talk) -> None:
    if not k.once("pet"):
        return
    kind = k.rng.choice(_PETS).replace("-", " ")
    k.let(pet=kind, petname=k.rng.choice([n for n in _PET_NAMES if n not in map(str, k.words.values())]))
    k.say(
        "[I have a {pet} called {petname}|I have a {pet} named {petname}|My {pet} is called "
        "{petname}|My {pet}'s name is {petname}|We have a {pet}. Its name is {petname}|The name of "
        "my {pet} is {petname}|I got a {pet} and I call it {petname}].",
        "[{petname} is a lovely name for a {pet}!|How nice! I would like to meet {petname}.|A {pet} "
        "called {petname}! What does {petname} like to do?|Say hello to {petname} from "
        "me.|{petname}! I like that name.|Hello to {petname}! Is {petname} big or small?]",
    )
    _remember(
        k,
        "[What is my {pet} called|What is the name of my {pet}|What's my {pet}'s name|Do you "
        "remember the name of my {pet}|What did I call my {pet}|How is my {pet} called]?",
        "[Your {pet} is called {petname}.|The name of your {pet} is {petname}.|{petname}! You told "
        "me about your {pet}.|It is {petname}.]",
    )
    if k.chance(0.4):
        _remember(
            k, "[Which animal do I have|What pet do I have]?", "[You have a {pet}.|You have a {pet} called {petname}.]"
        )
    elif k.chance(0.4):
        _remember(
            k,
            "[What kind of animal is {petname}|Who is {petname}|What animal is {petname}]?",
            "[{petname} is your {pet}.|{petname} is a {pet}.]",
        )


@scene(2.5)
def favourite(k: Talk) -> None:
    topic, options = k.rng.choice((("colour", _COLOURS), ("food", _FOODS), ("animal", _ANIMALS), ("number", _NUMBERS)))
    if not k.once(f"favourite {topic}"):
        return
    key = f"fav_{topic}"
    k.let(**{key: k.rng.choice(options), "topic": topic})
    k.say(
        f"[My favourite {topic} is {{{key}}}|I like {{{key}}} best|The {topic} I like best is "
        f"{{{key}}}|My best-loved {topic} is {{{key}}}]."
        if topic in ("colour", "number", "food")
        else f"[I like {{{key}}} best of all animals|The animals I like best are {{{key}}}|My favourite "
        f"animals are {{{key}}}|I love {{{key}}} more than any other animal].",
        f"[{{{key}}}! That is a good choice.|I see. I will remember that.|Oh, that is nice! Why do "
        f"you like it?|Good to know! You like {{{key}}}.]".replace("{fav", "{Fav", 1)
        if topic != "animal"
        else f"[{{Fav_animal}}! I like them too.|I see. I will remember that.|{{Fav_animal}} are "
        f"wonderful. Why do you like them best?|Good to know! You like {{{key}}}.]",
    )
    if topic == "animal":
        _remember(
            k,
            "[Which animals do I like best|What are my favourite animals|What animals do I love]?",
            "[You like {fav_animal} best.|Your favourite animals are {fav_animal}.|{Fav_animal}. You told me so.]",
        )
    else:
        _remember(
            k,
            f"[What is my favourite {topic}|Do you remember my favourite {topic}|Which {topic} do I like "
            f"best|What's my favourite {topic}]?",
            f"[Your favourite {topic} is {{{key}}}.|You like {{{key}}} best.|It is {{{key}}}.|You told me "
            f"that your favourite {topic} is {{{key}}}.]",
        )


@scene(1.5)
def home(k: Talk) -> None:
    if not k.once("home"):
        return
    k.let(city=k.rng.choice(_CITIES))
    k.say(
        "[I live in {city}|My home is in {city}|I am from {city}|I come from {city}|We live in {city}].",
        "[{City}! Do you like it there?|How nice! What is it like in {city}?|I have never been "
        "there, but I would like to hear about it.|That sounds good. Do you have a garden there?]",
    )
    _remember(
        k,
        "[Where do I live|Do you remember where I live|Where am I from|In which place do I live]?",
        "[You live in {city}.|You told me that you live in {city}.|In {city}.]",
    )


@scene(1.2)
def age(k: Talk) -> None:
    if not k.once("age"):
        return
    k.let(age=k.rng.choice(_NUMBERS[1:]) if k.chance(0.7) else str(k.rng.randrange(13, 70)))
    k.say(
        "[I am {age} years old|I'm {age} years old|My age is {age}|I turned {age} this year].",
        "[{Age}! That is a good age.|{Age} years old! I am much younger than you.|How nice to be "
        "{age}!|I see. And what do you like to do?]",
    )
    _remember(
        k,
        "[How old am I|Do you remember how old I am|What is my age]?",
        "[You are {age} years old.|You are {age}.|You told me that you are {age} years old.]",
    )


@scene(1.5)
def hobby(k: Talk) -> None:
    if not k.once("hobby"):
        return
    k.let(hobby=k.rng.choice(_HOBBIES))
    k.let(hobby_you=_yours(str(k.words["hobby"])))
    k.say(
        "[I like {hobby}|I love {hobby}|My hobby is {hobby}|What I like to do most is {hobby}].",
        "[That sounds like fun!|Oh, {hobby_you} is great!|How nice! Do you do it often?|That is a "
        "good thing to like.|I cannot do that, but I like to hear about it.]",
    )
    _remember(
        k,
        "[What do I like to do|What is my hobby|Do you remember what I like to do|What did I say I like]?",
        "[You like {hobby_you}.|You told me that you like {hobby_you}.|Your hobby is {hobby_you}.]",
    )


@scene(2)
def relative(k: Talk) -> None:
    person = k.rng.choice(_PEOPLE)
    if not k.once(f"person {person}"):
        return
    key = f"rel_{person}"
    k.name(key)
    k.say(
        f"[My {person} is called {{{key}}}|My {person}'s name is {{{key}}}|I have "
        f"{'an' if person[0] in 'au' else 'a'} {person} called {{{key}}}|The name of my {person} is "
        f"{{{key}}}].",
        f"[{{{key}}} is a nice name.|I would like to meet {{{key}}}.|What do you and {{{key}}} do "
        f"together?|Tell me more about {{{key}}}!|Is {{{key}}} kind to you?]",
    )
    _remember(
        k,
        f"[What is my {person} called|What is my {person}'s name|What is the name of my {person}|Do "
        f"you remember my {person}'s name]?",
        f"[Your {person} is called {{{key}}}.|Your {person}'s name is {{{key}}}.|It is {{{key}}}.|{{{key}}}.]",
    )
    if k.chance(0.4):
        _remember(k, f"Who is {{{key}}}?", f"[{{{key}}} is your {person}.|That is your {person}.]")


@scene(1.2)
def job(k: Talk) -> None:
    person = k.rng.choice(_PEOPLE[:8])
    if not k.once(f"job {person}"):
        return
    key = f"job_{person}"
    k.let(**{key: k.rng.choice(_JOBS)})
    k.say(
        f"[My {person} is {{a {key}}}|My {person} works as {{a {key}}}].",
        f"[That is a good job.|How interesting! {{A {key}}} can do many useful things.|I see. Do you "
        f"want to be {{a {key}}} too?|Oh, nice! What does your {person} like about it?]",
    )
    _remember(
        k,
        f"[What does my {person} do|What is my {person}'s job|What is the work of my {person}]?",
        f"[Your {person} is {{a {key}}}.|Your {person} works as {{a {key}}}.]",
    )


@scene(2)
def put_away(k: Talk) -> None:
    thing = k.rng.choice(_THINGS)
    if not k.once(f"thing {thing}"):
        return
    key = "spot_" + thing.replace(" ", "_")
    k.let(**{key: k.rng.choice(_SPOTS)})
    many = thing in ("keys", "glasses", "shoes")
    k.let(**{key + "_you": _yours(str(k.words[key]))})
    be, it = ("are", "They") if many else ("is", "It")
    k.say(
        f"[My {thing} {be} {{{key}}}|I put my {thing} {{{key}}}|I left my {thing} {{{key}}}|Please "
        f"remember: my {thing} {be} {{{key}}}].",
        f"[All right, I will remember that.|Good. Your {thing} {be} {{{key}_you}}.|I will keep it in "
        f"mind.|Okay! I will tell you when you ask.]",
    )
    _remember(
        k,
        f"[Where {be} my {thing}|Where did I put my {thing}|Do you know where my {thing} {be}|Where "
        f"did I leave my {thing}]?",
        f"[Your {thing} {be} {{{key}_you}}.|{it} {be} {{{key}_you}}.|You put "
        f"{'them' if many else 'it'} {{{key}_you}}.]",
    )


@scene(0.8)
def never_told(k: Talk) -> None:
    """Asked for what was not said: the honest answer is that nobody told."""
    topics = {
        "own name": "my name|your name",
        "pet": "the name of my pet|the name of your pet",
        "home": "where I live|where you live",
        "age": "how old I am|how old you are",
        "hobby": "my hobby|your hobby",
    }
    free = [topic for topic in topics if topic not in k.done]
    if not free:
        return
    topic = k.rng.choice(free)
    mine, yours = topics[topic].split("|")
    k.say(
        f"[Do you know {mine}|Can you tell me {mine}|Do you remember {mine}]?",
        f"[No, you have not told me {yours} yet.|I do not know {yours}. Will you tell me?|I do not "
        f"know that. You have not told me yet.]",
    )
