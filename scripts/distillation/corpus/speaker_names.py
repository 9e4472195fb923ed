"""Full names of the persons for the names that the editions print before a speech."""

from __future__ import annotations

# play -> the name as printed -> the name in full; upper case on both sides
ALIASES: dict[str, dict[str, str]] = {
    "hamlet": {
        "HAM": "HAMLET",
        "HOR": "HORATIO",
        "KING": "KING CLAUDIUS",
        "POL": "POLONIUS",
        "QUEEN": "QUEEN GERTRUDE",
        "LAER": "LAERTES",
        "OPH": "OPHELIA",
        "ROS": "ROSENCRANTZ",
        "MAR": "MARCELLUS",
        "GUIL": "GUILDENSTERN",
        "OSR": "OSRIC",
        "BER": "BERNARDO",
        "REY": "REYNALDO",
        "FRAN": "FRANCISCO",
        "CAPT": "CAPTAIN",
        "I PLAY": "FIRST PLAYER",
        "I PLAYER": "FIRST PLAYER",
        "FORT": "FORTINBRAS",
        "FOR": "FORTINBRAS",
        "GENT": "GENTLEMAN",
        "MESS": "MESSENGER",
        "VOLT": "VOLTIMAND",
        "PRO": "PROLOGUE",
        "LUC": "LUCIANUS",
        "I SAILOR": "SAILOR",
        "P KING": "PLAYER KING",
        "P QUEEN": "PLAYER QUEEN",
        "P. KING": "PLAYER KING",
        "P. QUEEN": "PLAYER QUEEN",
    },
    "lear": {
        "GLOU": "GLOUCESTER",
        "EDG": "EDGAR",
        "EDM": "EDMUND",
        "REG": "REGAN",
        "ALB": "ALBANY",
        "GON": "GONERIL",
        "CORN": "CORNWALL",
        "OSW": "OSWALD",
        "GENT": "GENTLEMAN",
        "COR": "CORDELIA",
        "MESS": "MESSENGER",
        "PHYS": "PHYSICIAN",
        "DOCT": "PHYSICIAN",
        "BUR": "BURGUNDY",
        "CUR": "CURAN",
        "FIRST SERV": "FIRST SERVANT",
        "SECOND SERV": "SECOND SERVANT",
        "THIRD SERV": "THIRD SERVANT",
        "HER": "HERALD",
        "CAPT": "CAPTAIN",
        "OFF": "OFFICER",
    },
    "henry_iv_part_1": {
        "PRINCE": "PRINCE HENRY",
        "FAL": "FALSTAFF",
        "HOT": "HOTSPUR",
        "POINTZ": "POINS",
        "WOR": "WORCESTER",
        "KING": "KING HENRY IV",
        "HOST": "HOSTESS",
        "GLEND": "GLENDOWER",
        "DOUG": "DOUGLAS",
        "GADS": "GADSHILL",
        "BARD": "BARDOLPH",
        "FRAN": "FRANCIS",
        "VER": "VERNON",
        "MORT": "MORTIMER",
        "NORTH": "NORTHUMBERLAND",
        "WEST": "WESTMORELAND",
        "LADY": "LADY PERCY",
        "LADY P": "LADY PERCY",
        "CHAM": "CHAMBERLAIN",
        "MESS": "MESSENGER",
        "SHER": "SHERIFF",
        "ARCH": "ARCHBISHOP",
        "SIR M": "SIR MICHAEL",
        "LAN": "LANCASTER",
        "SERV": "SERVANT",
        "OST": "OSTLER",
        "VINT": "VINTNER",
        "CAR": "CARRIER",
        "FIRST CAR": "FIRST CARRIER",
        "SECOND CAR": "SECOND CARRIER",
    },
    "henry_iv_part_2": {"PRINCE": "PRINCE HENRY", "KING": "KING HENRY IV"},
    "john": {"LADY FALCONBRIDGE": "LADY FAULCONBRIDGE"},
    "pericles": {"PERACLES": "PERICLES", "HELICANE": "HELICANUS", "HELCANUS": "HELICANUS"},
    "romeo_and_juliet": {"CHOR": "CHORUS", "FRIAR": "FRIAR LAWRENCE"},
    "timon_of_athens": {"LUCULLIUS": "LUCULLUS"},
    "troilus_and_cressida": {"ANDARUS": "PANDARUS", "AGAME": "AGAMEMNON"},
}

# one person under one name in several plays; every other name is a person of its own in each play
RECURRING = frozenset(
    {"FALSTAFF", "PRINCE HENRY", "KING HENRY IV", "BARDOLPH", "PISTOL", "NYM", "SHALLOW", "POINS", "HOSTESS"}
)

# printed like a name before a speech, and none
NO_NAMES = frozenset({"SONG", "SPRING", "WINTER", "EXEUNT", "EXIT", "FINIS", "THE END", "DUMB SHOW", "THRENOS"})


ORDINALS = {"1": "FIRST", "2": "SECOND", "3": "THIRD", "4": "FOURTH"}


def full_name(play: str, printed: str) -> str:
    """Return the full name, in upper case, for a printed name of a play."""
    first, *others = printed.upper().split()
    name = " ".join([ORDINALS.get(first.rstrip("."), first), *others])
    return ALIASES.get(play, {}).get(name, name)


def person(play: str, name: str) -> str:
    """Return a person's unique name: `FALSTAFF` in all his plays, but `DUKE (othello)` and `DUKE (as_you_like_it)`."""
    return name if name in RECURRING else f"{name} ({play})"
