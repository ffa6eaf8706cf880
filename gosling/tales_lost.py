"""Tales of things lost, found, kept and given back."""

from __future__ import annotations

from teller import Teller, plot

_SORTS = ("toy", "wear", "treasure")


@plot("a lost {x}")
def lost_thing(t: Teller) -> None:
    t.friend()
    t.take("x", t.rng.choice(_SORTS))
    t.words["spot"] = t.rng.choice(t.words["p"].spots)  # type: ignore[attr-defined]
    t.choose("from", "{h.his} grandmother, {h.his} grandfather, {h.his} aunt, an old friend")
    t.open("{H.he} had {a x.full}. [It was a present from {from}.|{H.he} had got it from {from}.|It came from {from}.] "
           "[{H} took it everywhere.|{H} loved it very much.|It was the thing {h} liked best.]")
    t.day("{h} [looked for|wanted] the {x}, but it was [gone|not there]. {H.he} looked [under the bed|behind the door] and "
          "[in every corner|on the shelf]. [No {x}!|It was not there.|Nothing!] {H} [felt sad|felt very sad|began to cry|wanted to cry].")
    t.p("{F} the {f.kind} came [along|by] and asked, \"[Why are you sad|What is wrong|What is the matter], {h}?\"",
        "\"[My {x} is lost|I have lost my {x}|I cannot find my {x}],\" said {h}. \"[It was a present.|I have looked everywhere.]\"",
        "\"[Do not worry|Do not cry|Cheer up]. [I will help you look|We will look for it together],\" said {f}. \"Where did you have it last?\"")
    t.p("{H} thought [hard|for a moment]. \"[Yesterday I played {p.at}|I was {p.at} yesterday|I had it {p.at}],\" {h.he} said.",
        "So they went to {p} [together|at once]. {F} looked [here and there|on the left], and {h} looked [high and low|on the right].")
    t.more("[First|At first] they found only [an old shoe|a broken cup|an empty box|a dry leaf|a rusty nail]. \"[That is not it|That is not my {x}|No, that is not it],\" said {h}. [But they did not give up.|They went on looking.|They looked on.]"
           .replace("[an old shoe|a broken cup|an empty box|a dry leaf|a rusty nail]", "[an old shoe|a broken cup|an empty box|a dry leaf|a rusty nail]"))
    t.p("Then {f} [shouted|called], \"[Look|Come here|Come and see], {h}! [There is something {x.look}|I see something {x.look}] {spot}!\"",
        "[{H} ran over|{H} hurried there|{H} came running]. It was the {x}! \"[You found it|There it is|My {x}]!\" {h} [cried|said happily]. \"[Thank you, {f}|Thank you so much|You are a true friend]!\"")
    t.end("[From then on, {h} always put the {x} in a safe place.|After that, {h} took good care of the {x}.|They played {p.at} until it was [dark|time to go home], and {h} kept the {x} close.]")
    t.about("{H} lost {h.his} {x.full}, and {f} helped to find it {spot}.", moral="[looking together is easier than looking alone|a friend helps when you are sad].")
    t.ask("What did {h} lose?", "{H} lost {h.his} {x.full}.")
    t.ask("Where was the {x}?", "The {x} was {spot}.")
    t.ask("Who helped {h}?", "{F} [the {f.kind}|] helped {h.him}.")
    t.ask("What colour was the {x}?" if t.words["x"].look in "red blue green yellow orange purple pink white brown golden silver" else "What was the {x} like?",  # type: ignore[attr-defined]
          "The {x} was {x.look}.")


@plot("something found")
def found_and_returned(t: Teller) -> None:
    t.friend()
    t.elder()
    t.take("x", t.rng.choice(("wear", "treasure")))
    t.words["spot"] = t.rng.choice(t.words["p"].spots)  # type: ignore[attr-defined]
    t.day("{h.intro} [was walking|went for a walk] {p.at}. [{H} liked to look at everything.|The air was fresh.|A little wind was blowing.]",
          "{Spot}, [something caught {h.his} eye|{h.he} saw something]. It was {a x.full}!")
    t.p("[\"How pretty!\"|\"What a fine {x}!\"|\"Oh, how nice!\"] said {h}. {H.he} looked around, but [there was nobody there|nobody was near]. "
        "\"[Can I keep it|May I keep it]?\" {h.he} [thought|wondered].",
        "[At home, {h} showed|{H} ran home and showed] the {x} to {m}. \"[It is lovely|It is very nice],\" said {m}. \"But [somebody may be looking for it|somebody may miss it|it belongs to somebody]. [What would you want if it was yours|How would you feel if you had lost it]?\"")
    t.p("{H} [thought about it|was quiet for a while]. Then {h.he} said, \"[I would want it back|I would be sad]. [I will find out whose it is|I will look for the owner].\"",
        "[So {h} went from door to door|{H} asked everybody] and asked, \"Is this your {x}?\" \"No,\" said the first. \"Not mine,\" said the next.")
    t.p("At last {h} [met|came to] {f.intro}, who [looked very sad|had been crying|was looking at the ground].",
        "\"[Did you lose something|What are you looking for]?\" asked {h}. \"[Yes|I am looking for my {x}|I have lost my {x}],\" said {f}. \"It is {x.look}.\"",
        "{H} held out {h.his} {h.hand}. \"Is this it?\"",
        "\"[Yes! That is my {x}!|My {x}! You found it!|Oh yes! That is the one!]\" {F} [jumped for joy|laughed and hugged {h}|was so happy that {f.he} danced].")
    t.more("\"Not everybody would have brought it back,\" said {f}. \"[Will you play with me?|Do you want to be my friend?]\" \"[I would like that very much|Yes, of course|With pleasure],\" said {h}.")
    t.end("[{H} had no {x} now, but {h.he} had a new friend, and that was better.|On the way home, {h} felt warm and light.|{M} was very proud of {h}.]")
    t.about("{H} found {a x.full} {spot} and gave it back to {f}.", moral="[it feels good to be honest|what is lost should go back to its owner|a friend is worth more than {a x.full}].")
    t.ask("What did {h} find?", "{H} found {a x.full}.")
    t.ask("Whose {x} was it?", "It was {f}'s {x}.")
    t.ask("Where did {h} find the {x}?", "{H} found it {spot}.")


@plot("somebody who got lost")
def lost_child(t: Teller) -> None:
    t.elder()
    t.friend()
    t.let("sight", "[" + "|".join(t.words["p"].sights) + "]")  # type: ignore[attr-defined]
    t.words["sight"] = str(t.words["sight"])[:1].lower() + str(t.words["sight"])[1:]
    t.open("[{H} was always curious.|{H} wanted to see everything.|There was nothing that {h} did not want to look at.]")
    t.day("{h} went to {p} with {m}. \"Stay close to me,\" said {m}. \"[I will|Yes, I will|I promise],\" said {h}.",
          "But then {h} saw {sight}. {H.he} stopped to look. {H.he} looked and looked. When {h.he} turned round, {m} was gone.")
    t.p("\"{M}! {M}!\" {h} called. [Nobody answered.|There was no answer.] {H.his} heart beat fast. {H.he} [ran to the left and to the right|did not know which way to go].",
        "[Then {h} remembered something.|Then a thought came to {h.him}.] \"If you are lost, stay where you are and [ask for help|wait],\" {m} had always said. So {h} sat down [and waited|on a stone and waited|and did not move].")
    t.p("[Soon|After a while], {f.intro} came by. \"[Are you alone|Are you lost]?\" asked {f}. \"[Yes|I am],\" said {h} [in a small voice|and wiped {h.his} eyes]. \"I cannot find {m}.\"",
        "\"[I will wait with you|Then I will stay with you until {m} comes],\" said {f}. \"[And we can call together.|Two voices are louder than one.]\"",
        "They called [as loud as they could|together], one, two, three: \"{M}!\"")
    t.more("While they waited, they [sang a song|told each other riddles|counted the clouds]. It made the time go faster, and {h} was not so afraid any more.")
    t.p("And then [they heard steps|somebody came running]. It was {m}! [{M} took {h} in {m.his} arms.|{M} hugged {h} tight.] \"[I was so worried|I looked for you everywhere],\" {m} said. \"You did the right thing. You stayed in one place.\"",
        "\"And {f} stayed with me,\" said {h}. {M} thanked {f} [very warmly|from the heart].")
    t.end("[After that, {h} always stayed close.|From then on, {h} held on to {m} whenever they went to {p}.]")
    t.about("{H} got lost {p.at}, but {f} waited with {h.him} until {m} came.", moral="[when you are lost, it is best to stay in one place|it is good to have somebody with you when you are afraid].")
    t.ask("Where did {h} get lost?", "{H} got lost {p.at}.")
    t.ask("Who waited with {h}?", "{F} waited with {h.him}.")
    t.ask("What did {h} stop to look at?", "{H.he} stopped to look at {sight}.")
    t.ask("Who found {h}?", "{M} found {h.him}.")


@plot("a secret {x}")
def found_in_the_nest(t: Teller) -> None:
    """Somebody takes shining things; it meant no harm."""
    t.friend()
    t.one("b", "magpie")
    t.take("x", "treasure")
    t.open("[Strange things happened in those days.|But something was wrong.|Now listen to what happened there.] First a [spoon|pin|nail] was gone, then a [bell|cup|button]. Nobody knew where they went.")
    t.p("Then, one morning, {h.his} own {x.full} was gone. It had been [on the window sill|on a flat stone|by the door].",
        "\"[Somebody is taking our things|There must be a thief],\" said {h} to {f}. \"[Let us find out who it is|We must find out who it is].\" \"[Good idea|Yes, let us be very quiet and watch],\" said {f}.")
    t.p("They put a shiny [spoon|ring|penny] on [a stone|the path|an old log]. Then they hid behind a bush and waited.",
        "[For a long time nothing happened.|They waited and waited.] {F} [nearly fell asleep|had to sneeze, but did not].",
        "Then, whoosh! A black and white bird came down, took the shiny thing and flew up into a tall tree. It was {b} the magpie!")
    t.p("\"{B}!\" called {h}. \"[Why do you take our things|Did you take my {x}]?\"",
        "{B} looked down. {B.he} was ashamed. \"[I did not know that they were yours|I am sorry],\" said {b}. \"They shine so much, and my nest is so dark. [I thought nobody wanted them.|I only wanted a little light.]\"")
    t.p("{H} [thought for a moment|looked at {f}, and {f} nodded]. \"[You should have asked|Next time, please ask],\" said {h}. \"[But we can help you|We will help you]. [We can find shiny stones for you by the water|There are shiny shells and stones by the water, and they belong to nobody].\"",
        "{B} gave everything back, also the {x.full}. [And that very day|And then], {h}, {f} and {b} looked for shiny stones together.")
    t.end("[Soon the nest shone like a star.|Now the nest shone in the sun, and nothing was stolen any more.] {B} was never called a thief again.")
    t.about("{H}'s {x.full} was gone. {H} and {f} found out that {b} the magpie had taken it, and {b} gave it back.", moral="[you should ask before you take something|it is good to ask why before you are angry].")
    t.ask("Who took the {x}?", "{B} the magpie took it.")
    t.ask("What was gone?", "{H}'s {x.full} was gone.")
    t.ask("Why did {b} take shiny things?", "{B} wanted a little light in {b.his} dark nest.")
