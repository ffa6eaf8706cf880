"""What Gosling knows of the world: short, true, and few.  Tables only."""

from __future__ import annotations

from weave import listed

__all__ = listed(
    "ANIMALS COLOURS DAYS GROUPS HOMES MEANINGS MONTHS OPPOSITES PLURALS RHYMES RIDDLES SEASONS SOUNDS USES WHY "
    "YES_NO YOUNG"
)


def _pairs(text: str) -> dict[str, str]:
    return {
        a.strip(): b.strip()
        for a, b in (entry.split(":") for entry in text.replace("\n", ";").split(";") if ":" in entry)
    }


OPPOSITES = _pairs("""
big:small; hot:cold; day:night; up:down; in:out; open:closed; fast:slow; old:young; happy:sad; wet:dry; light:dark
high:low; long:short; full:empty; hard:soft; good:bad; early:late; loud:quiet; clean:dirty; rich:poor; strong:weak
thick:thin; near:far; left:right; first:last; black:white; yes:no; begin:end; win:lose; give:take; push:pull
come:go; buy:sell; laugh:cry; love:hate; ask:answer; find:lose; sit:stand; remember:forget; above:below
before:after; always:never; same:different; easy:difficult; true:false; wide:narrow; deep:shallow; heavy:light
sweet:sour; brave:afraid; beautiful:ugly; awake:asleep; inside:outside; top:bottom; front:back; summer:winter
sunrise:sunset; friend:enemy; question:answer; morning:evening; warm:cool; smooth:rough; sharp:blunt; alive:dead
tall:short; many:few; more:less; arrive:leave; build:destroy; whisper:shout; polite:rude; careful:careless
safe:dangerous
""")
_ONE_WAY = ("find", "heavy", "tall", "question", "love")
OPPOSITES |= {b: a for a, b in OPPOSITES.items() if a not in _ONE_WAY and b not in OPPOSITES}

SOUNDS = _pairs("""
dog:woof; cat:meow; cow:moo; sheep:baa; duck:quack; pig:oink; horse:neigh; rooster:cock-a-doodle-doo; hen:cluck
frog:ribbit; bee:buzz; owl:hoot; mouse:squeak; lion:roar; bird:tweet; snake:hiss; goat:maa; goose:honk
donkey:hee-haw; crow:caw; cuckoo:cuckoo; dove:coo; chick:cheep; fly:buzz; bear:growl
""")

YOUNG = _pairs("""
dog:puppy; cat:kitten; cow:calf; sheep:lamb; duck:duckling; pig:piglet; horse:foal; hen:chick; goose:gosling
goat:kid; lion:cub; bear:cub; swan:cygnet; deer:fawn; frog:tadpole; owl:owlet; elephant:calf; kangaroo:joey; fox:cub
butterfly:caterpillar
""")

HOMES = _pairs(
    """
bird:in a nest; bee:in a hive; rabbit:in a burrow; spider:in a web; dog:in a kennel or with people
horse:in a stable; cow:on a farm, in a barn; fish:in the water; bear:in the forest, often in a den
lion:on the grassland; penguin:in the cold south, by the sea; camel:in the desert; whale:in the sea; frog:near water
squirrel:in trees; monkey:in the trees of warm forests; mole:under the ground; fox:in a den; ant:in an ant hill
polar bear:in the cold north; owl:in a tree; snail:in gardens and other damp places; beaver:in a lodge by the water
crab:by the sea; pig:on a farm, in a sty; hen:in a hen house
""".replace(", ", ", ")
)

COLOURS = _pairs("""
grass:green; the sky on a clear day:blue; snow:white; milk:white; coal:black; a lemon:yellow; a banana:yellow
a carrot:orange; an orange:orange; a tomato:red; a strawberry:red; blood:red; a frog:green, most of the time
the sun:yellow; a pumpkin:orange; chocolate:brown; a cucumber:green; a crow:black; a polar bear:white
a flamingo:pink; a blueberry:blue; an elephant:grey; a pea:green; a swan:white, most of the time; a cherry:red
leaves in summer:green; the night sky:black; a fire engine:red, most of the time; earth:brown; corn:yellow
ice cream with vanilla:a pale yellow; a spider:brown or black; lettuce:green; a fox:red and brown
a ripe plum:purple or blue; a zebra:black and white; a panda:black and white; a penguin:black and white
a tiger:orange with black stripes; a bee:yellow and black; a ladybird:red with black spots
""")

USES = _pairs("""
a spoon:to eat soup with; a knife:to cut things; a pen:to write; a pencil:to write and draw; a chair:to sit on
a bed:to sleep in; a cup:to drink from; a key:to open a lock; an umbrella:to stay dry in the rain
a clock:to tell the time; a broom:to sweep the floor; soap:to wash; a towel:to dry yourself; a lamp:to make light
a ladder:to climb up; a hammer:to drive in nails; scissors:to cut paper or cloth; a needle:to sew
a boat:to travel on water; a bridge:to cross a river; a book:to read; a map:to find the way; a bag:to carry things
a hat:to keep your head warm, or to keep the sun off; glasses:to see better; a toothbrush:to clean your teeth
a comb:to make your hair tidy; an oven:to bake bread and cakes; a pan:to fry food in; a pot:to cook soup in
a fork:to eat with; a bell:to ring; a door:to go in and out; a window:to let in light and air
a candle:to make a little light; a rope:to tie things; a saw:to cut wood; a spade:to dig; a bucket:to carry water
a shelf:to put things on; a blanket:to keep warm; gloves:to keep your hands warm; shoes:to protect your feet
a coat:to keep you warm; a phone:to talk to people who are far away; a mirror:to see yourself
a brush:to paint, or to clean; glue:to stick things together; a kite:to fly in the wind; a drum:to make music
a fridge:to keep food cold; a bin:to throw rubbish away
""")

MEANINGS = _pairs("""
a friend:somebody you like and who likes you; a forest:a place with many trees; a river:water that flows to the sea
a mountain:a very high hill; an island:land with water all around it; a desert:a dry place with little rain
a farm:a place where people keep animals and grow food; a teacher:a person who helps others to learn
a doctor:a person who helps sick people; a baker:a person who makes bread and cakes
a farmer:a person who grows food and keeps animals; a bird:an animal with wings and feathers
a fish:an animal that lives in water and has fins; a tree:a tall plant with a trunk and branches
a flower:the pretty part of a plant; a seed:a small thing from which a plant grows; a king:a man who rules a land
a queen:a woman who rules a land, or the wife of a king; a village:a small place with houses, smaller than a town
a city:a very big town; a school:a place where children learn; a library:a place with many books
a garden:a place where plants and flowers grow; a kitchen:the room where people cook
a market:a place where people buy and sell; a bakery:a shop that sells bread; rain:water that falls from clouds
snow:frozen water that falls from clouds in small white flakes; ice:frozen water; wind:moving air
a cloud:many tiny drops of water in the sky; a rainbow:a bow of many colours in the sky, made by sun and rain
the sun:the star that gives us light and warmth; the moon:a big ball of rock that goes round the earth
a star:a far away sun that we see at night; a gift:something that you give to somebody
a secret:something that you do not tell everybody; a lie:something that is said and not true
a promise:words that say what you will surely do; a dream:a story that you see while you sleep
a question:what you ask when you want to know something; a story:words that tell what happened
a song:words with a tune; a poem:words put together so that they sound nice; a game:something that you play
a map:a picture of a place seen from above; a week:seven days; a year:twelve months; an hour:sixty minutes
a minute:sixty seconds; a gosling:a young goose; a rookery:a place where many birds have their nests
a nest:the home that a bird builds; a shadow:the dark shape behind something that stands in the light
honey:a sweet food that bees make; a puppy:a young dog; a kitten:a young cat
a neighbour:somebody who lives near you; a grandmother:the mother of your mother or father
an uncle:the brother of your mother or father; an aunt:the sister of your mother or father
a cousin:a child of your uncle or aunt; a thief:somebody who steals; a hero:somebody who is very brave
a giant:a very big person in a story; a dragon:a big animal in stories that breathes fire
""")

PLURALS = _pairs("""
mouse:mice; child:children; foot:feet; tooth:teeth; goose:geese; man:men; woman:women; sheep:sheep; leaf:leaves
knife:knives; wolf:wolves; box:boxes; baby:babies; fox:foxes; berry:berries; fish:fish; cat:cats; dog:dogs
house:houses; tree:trees; bus:buses; dish:dishes; city:cities; story:stories; person:people; toy:toys; key:keys
day:days; book:books; shelf:shelves; loaf:loaves; cherry:cherries; potato:potatoes; tomato:tomatoes; penny:pennies
ox:oxen; deer:deer; bush:bushes; glass:glasses; puppy:puppies
""")

RHYMES = tuple(
    tuple(line.split())
    for line in """cat hat mat bat rat
dog fog log frog
sun fun run bun
tree bee sea me three key
house mouse
star car far jar
night light bright kite
day play say way
moon spoon soon noon
bear pear chair hair
fish dish wish
king ring sing wing
cake lake snake make
boat coat goat
rain train plane chain
book look cook hook
ball tall wall small fall
bed red head bread
fox box socks rocks
hill mill bill pill
blue shoe two new
nose rose toes
stone bone phone alone
hen pen ten men
duck luck truck
bell shell well tell
snow go show toe
clock sock rock lock
fly sky pie high
town brown crown down""".splitlines()
)

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = listed("January February March April May June July August September October November December")
SEASONS = ["spring", "summer", "autumn", "winter"]

GROUPS = {
    "fruit": "an apple, a pear, a banana, a plum, a cherry, a melon, an orange, a peach",
    "vegetable": "a carrot, a potato, a cabbage, an onion, a pea, a bean, a cucumber",
    "animal": "a dog, a horse, a fox, an elephant, a rabbit, a cow, a bear, a frog",
    "bird": "an owl, a duck, a robin, a crow, a goose, a swan, a penguin, a hen",
    "colour": "red, blue, green, yellow, purple, orange, white",
    "flower": "a rose, a tulip, a daisy, a poppy, a sunflower, a lily",
    "tree": "an oak, a pine, a birch, a beech, a willow, an apple tree",
    "toy": "a ball, a doll, a kite, a teddy bear, a drum",
    "tool": "a hammer, a saw, a spade, a ladder, a broom",
    "piece of clothing": "a hat, a coat, a shirt, a scarf, a sock, a shoe",
    "drink": "water, milk, tea, juice",
    "insect": "a bee, an ant, a fly, a butterfly, a beetle",
    "part of the body": "a hand, a foot, a nose, an ear, an arm, a knee",
    "thing in a kitchen": "a spoon, a cup, a pot, a pan, a plate",
    "season": "spring, summer, autumn, winter",
    "shape": "a circle, a square, a triangle",
    "thing with wheels": "a car, a bike, a train, a bus, a cart",
}

ANIMALS = {  # number of legs, can fly, can swim well
    "dog": (4, False, True),
    "cat": (4, False, None),
    "horse": (4, False, True),
    "cow": (4, False, None),
    "duck": (2, True, True),
    "owl": (2, True, None),
    "fish": (0, False, True),
    "snake": (0, False, None),
    "spider": (8, False, None),
    "bee": (6, True, False),
    "ant": (6, False, None),
    "hen": (2, None, None),
    "penguin": (2, False, True),
    "frog": (4, False, True),
    "elephant": (4, False, True),
    "lion": (4, False, None),
    "whale": (0, False, True),
    "butterfly": (6, True, False),
    "crow": (2, True, False),
    "rabbit": (4, False, None),
    "fly": (6, True, None),
    "mouse": (4, False, None),
    "swan": (2, True, True),
    "bear": (4, False, True),
    "fox": (4, False, None),
    "dolphin": (0, False, True),
    "pig": (4, False, None),
    "robin": (2, True, False),
    "goat": (4, False, None),
}

YES_NO = {
    "Is ice cold": "Yes, ice is cold.",
    "Is fire cold": "No, fire is hot.",
    "Is the sun hot": "Yes, the sun is very hot.",
    "Is snow warm": "No, snow is cold.",
    "Is water wet": "Yes, water is wet.",
    "Is a mouse bigger than an elephant": "No, an elephant is much bigger than a mouse.",
    "Is an elephant big": "Yes, an elephant is very big.",
    "Is a lemon sour": "Yes, a lemon is sour.",
    "Is sugar sweet": "Yes, sugar is sweet.",
    "Is salt sweet": "No, salt is salty.",
    "Is a whale a fish": "No, a whale lives in the sea, but it is not a fish.",
    "Is a penguin a bird": "Yes, a penguin is a bird, but it cannot fly.",
    "Is a bat a bird": "No, a bat can fly, but it is not a bird.",
    "Is a spider an insect": "No, a spider has eight legs and is not an insect.",
    "Is a bee an insect": "Yes, a bee is an insect.",
    "Is a tomato red": "Yes, a ripe tomato is red.",
    "Is grass blue": "No, grass is green.",
    "Is a feather heavy": "No, a feather is very light.",
    "Is a stone soft": "No, a stone is hard.",
    "Is a pillow soft": "Yes, a pillow is soft.",
    "Is the sea salty": "Yes, the water of the sea is salty.",
    "Is the moon made of cheese": "No, the moon is made of rock.",
    "Is the earth round": "Yes, the earth is round like a ball.",
    "Is the sun bigger than the earth": "Yes, the sun is much bigger than the earth.",
    "Is winter colder than summer": "Yes, winter is colder than summer.",
    "Does the sun shine at night": "No, at night we do not see the sun.",
    "Does it snow in summer": "Mostly not. It snows in winter.",
    "Do fish live in water": "Yes, fish live in water.",
    "Do birds have feathers": "Yes, birds have feathers.",
    "Do dogs have wings": "No, dogs have no wings.",
    "Do cows give milk": "Yes, cows give milk.",
    "Do hens lay eggs": "Yes, hens lay eggs.",
    "Do cats lay eggs": "No, cats have kittens.",
    "Do bees make honey": "Yes, bees make honey.",
    "Do trees have leaves": "Yes, most trees have leaves.",
    "Do plants need water": "Yes, plants need water and light.",
    "Do cars need legs": "No, cars have wheels.",
    "Do people have tails": "No, people have no tails.",
    "Do snakes have legs": "No, snakes have no legs.",
    "Can a stone swim": "No, a stone sinks.",
    "Does wood float": "Yes, most wood floats on water.",
    "Can people fly": "No, people cannot fly without a machine.",
    "Can a baby drive a car": "No, a baby is much too small.",
    "Can you eat soup with a fork": "That is difficult. A spoon is better.",
    "Can dogs read": "No, dogs cannot read.",
    "Can a clock walk": "No, a clock has no legs.",
    "Can a tree walk": "No, a tree stays where it grows.",
    "Is bread made from flour": "Yes, bread is made from flour.",
    "Is butter made from milk": "Yes, butter is made from milk.",
    "Is cheese made from milk": "Yes, cheese is made from milk.",
    "Is paper made from wood": "Yes, most paper is made from wood.",
    "Is glass easy to break": "Yes, glass breaks easily.",
    "Is a giraffe tall": "Yes, a giraffe is very tall.",
    "Is a snail fast": "No, a snail is very slow.",
    "Is a turtle faster than a rabbit": "No, a rabbit runs faster than a turtle.",
    "Is night dark": "Yes, the night is dark.",
    "Is fire dangerous": "Yes, fire can burn you. Be careful.",
    "Is it good to share": "Yes, it is good to share.",
    "Is it good to lie": "No, it is better to tell the truth.",
    "Should we say thank you": "Yes, it is polite to say thank you.",
    "Should I brush my teeth": "Yes, brush your teeth every day.",
    "Should I help my friends": "Yes, it is good to help your friends.",
}

WHY = {
    "Why is the sky blue": "The air spreads the blue part of the sunlight most, so the sky looks blue.",
    "Why does it rain": "Clouds are made of tiny drops of water. When the drops grow heavy, they fall as rain.",
    "Why do we sleep": "We sleep so that our body and our head can rest.",
    "Why do we eat": "We eat because food gives us strength and helps us grow.",
    "Why do birds build nests": "Birds build nests to keep their eggs and their young safe.",
    "Why do leaves fall": "In autumn many trees drop their leaves to save water in winter.",
    "Why is it dark at night": "At night our side of the earth is turned away from the sun.",
    "Why do we wash our hands": "We wash our hands to get rid of dirt and germs.",
    "Why does ice melt": "Ice melts when it gets warm, and then it becomes water.",
    "Why do cats purr": "Cats often purr when they feel good.",
    "Why do dogs wag their tails": "Dogs often wag their tails when they are happy.",
    "Why do bees visit flowers": "Bees visit flowers to get sweet juice for their honey.",
    "Why do we wear coats": "We wear coats to stay warm.",
    "Why do we need water": "All living things need water. Without it they cannot live.",
    "Why is snow white": "Snow is made of many tiny bits of ice that throw back the light, so it looks white.",
    "Why do plants need light": "Plants use light to make their food.",
    "Why do people cry": "People cry when they are sad or hurt, and sometimes when they are very happy.",
    "How does a plant grow": "A plant grows from a seed. It needs earth, water and light.",
    "How do fish breathe": "Fish breathe with gills, under water.",
    "How do birds fly": "Birds fly by beating their wings.",
    "How is bread made": "You mix flour, water, salt and yeast, let the dough rise and bake it in the oven.",
    "How do I make tea": "Boil water, pour it on the tea, and wait a few minutes. Be careful, it is hot.",
    "How do I make a friend": "Be kind, listen, and ask if the other wants to play with you.",
    "How do I make a sandwich": "Take two pieces of bread and put something good between them, such as cheese.",
    "How do I plant a seed": "Put the seed into earth, give it water and light, and wait.",
    "How does a caterpillar become a butterfly": "It wraps itself up, sleeps and changes. "
    "Then it comes out as a butterfly.",
    "Where does milk come from": "Milk comes from cows, and also from goats and sheep.",
    "Where do eggs come from": ("Hens lay eggs."),
    "Where does honey come from": "Bees make honey.",
    "Where does wool come from": "Wool comes from sheep.",
    "Where does the sun go at night": "It does not go away. The earth turns, and the sun shines on the other side.",
    "Where does the rain come from": "The rain comes from clouds.",
    "Where do apples grow": "Apples grow on trees.",
    "Where do carrots grow": "Carrots grow in the ground.",
    "What do bees make": "Bees make honey.",
    "What do cows eat": "Cows eat grass and hay.",
    "What do rabbits eat": "Rabbits eat grass, leaves and carrots.",
    "What do birds eat": "Many birds eat seeds, worms and insects.",
    "What do plants need": "Plants need water, light and air.",
    "What do we need to live": "We need air, water, food and sleep.",
    "What is bigger, a cat or a horse": "A horse is bigger than a cat.",
    "What is faster, a car or a bike": "A car is faster than a bike.",
    "Which animal has a long trunk": "The elephant has a long trunk.",
    "Which animal has a long neck": "The giraffe has a very long neck.",
    "Which animal gives wool": "The sheep gives wool.",
    "Which animal has stripes": "The zebra has stripes, and the tiger too.",
    "What shines in the sky at night": "The moon and the stars.",
    "What shines in the sky by day": "The sun.",
    "What do you say when somebody gives you something": "You say thank you.",
    "What should I do when I meet somebody new": "Say hello and tell your name.",
    "What should I do if I am lost": "Stay where you are and ask a grown-up for help.",
    "How many legs has a spider": "A spider has eight legs.",
    "How many fingers do I have": "Most people have ten fingers.",
    "How many eyes do people have": "People have two eyes.",
    "How many wheels has a bike": "A bike has two wheels.",
    "How many wheels has a car": "Most cars have four wheels.",
    "How many corners has a square": "A square has four corners.",
    "How many sides has a triangle": "A triangle has three sides.",
    "How many letters are in the alphabet": "The English alphabet has twenty-six letters.",
}

RIDDLES = (
    ("I have keys, but I open no door. You can play me. What am I?", "a piano"),
    ("I have hands, but I cannot clap. What am I?", "a clock"),
    ("I am full of holes, but I hold water. What am I?", "a sponge"),
    ("I have a neck, but no head. What am I?", "a bottle"),
    ("The more you take away from me, the bigger I get. What am I?", "a hole"),
    ("I have legs, but I cannot walk. You eat at me. What am I?", "a table"),
    ("I follow you in the sun and leave you in the dark. What am I?", "your shadow"),
    ("I fall from the sky, but I never get hurt. What am I?", "the rain"),
    ("I have teeth, but I never bite. What am I?", "a comb"),
    ("I get wet while I dry you. What am I?", "a towel"),
    ("I have leaves, but I am not a tree. You can read me. What am I?", "a book"),
    ("I am yellow in the sky and I keep you warm. What am I?", "the sun"),
    ("I carry my house on my back. What am I?", "a snail"),
    ("I can fly and I make honey. What am I?", "a bee"),
    ("I am white and cold, and you can make a man of me. What am I?", "snow"),
    ("I have four legs and say meow. What am I?", "a cat"),
    ("I have a long trunk and big ears. What am I?", "an elephant"),
    ("You can see me in the water, but I never get wet. What am I?", "your reflection"),
    ("I go up when the rain comes down. What am I?", "an umbrella"),
    ("I have one eye, but I cannot see. I help you to sew. What am I?", "a needle"),
    ("I run all day, but I never get tired. I have a bed, but I never sleep. What am I?", "a river"),
    ("I am round like a ball and I shine at night. What am I?", "the moon"),
    ("I have a face and no eyes. I tell you when to get up. What am I?", "a clock"),
    ("I grow in the ground, I am orange, and rabbits like me. What am I?", "a carrot"),
)
