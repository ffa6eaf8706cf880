"""
Beginnings, endings and other phrases that any tale can use.  The hero is {h}.
"""

from __future__ import annotations

__all__ = ["AFTERWARDS", "ENDS", "LESSONS", "MORNINGS", "OPENINGS"]

OPENINGS = (
    "Once upon a time, there was {h.intro}. {H.he} lived in {h.home}.",
    "Once upon a time, {h.intro} lived in {h.home}.",
    "Once there was {h.intro} who lived in {h.home}.",
    "There once was {h.intro}. {H.his} home was {h.home}.",
    "In {h.home} lived {h.intro}.",
    "{H} was {a h.aged}. {H.he} lived in {h.home} [with {h.his} family|].",
    "{H} was {a h.aged} who lived in {h.home}.",
    "This is [a|the] story of {h.intro}.",
    "{H.intro} lived in {h.home}. [It was not big, but it was a good place to live.|{H.he} liked it there very much.|]",
    "Long ago, there was {h.intro}.",
    "There was {a h.kind} [named|called] {h}. [{H.he} lived in {h.home}.|]",
    "Not very far away, in {h.home}, there lived {h.intro}.",
    "Do you want to hear about {h}? {H} was {a h.aged}, and {h.his} home was {h.home}.",
    "{H} was {a h.kind}. {H.he} was [kind and curious|cheerful and quick|friendly and a bit shy"
    "|brave and funny|gentle and clever|merry and full of ideas|small, but very clever].",
    "There lived {h.intro} in {h.home}. [Everybody liked {h.him}.|{H.he} had many friends.|]",
)
MORNINGS = (
    "One [sunny|bright|warm|fine|quiet|cool|beautiful|clear|pleasant] [morning|day|afternoon],",
    "One [morning|day|afternoon],",
    "One day,",
    "One [spring|summer|autumn] [morning|day|afternoon],",
    "[Early one morning|One morning after breakfast|Late one afternoon|On a quiet Sunday|On a Monday morning],",
)
ENDS = (
    "The end.",
    "And that was the end of a [good|very good|long and happy|wonderful|busy] day.",
    "{H} went to bed [happy|with a smile] that night.",
    "That night, {h} slept [well|very well|like a stone].",
)
LESSONS = (
    "From that day on, {h} knew that @",
    "{H} had learned that @",
    "And {h} never forgot that @",
    "So {h} found out that @",
)
AFTERWARDS = (
    "Then {h} went home, had [some soup|some supper|a warm drink] and [fell asleep|went to bed].",
    "After that, {h} told everybody at home about it, and they [listened|smiled|clapped].",
    "The next day, {h} woke up early and wanted to [go out|play] again.",
    "Then {h} [sat down|lay down] and dreamed of the next [adventure|day].",
)
