"""What both languages have in common: a house of nested parts, who uses whom in it, and what the layers allow."""

from dataclasses import dataclass, field

EVERYTHING = "everything"


@dataclass(frozen=True)
class Use:
    """One place at which a part of a house names another; a part is the tuple of names that lead to it."""

    user: tuple
    used: tuple
    file: str
    line: int
    text: str

    def __str__(self):
        return f"{self.file}:{self.line}: {self.text}"


@dataclass
class House:
    """The parts of one source folder with the file or folder of each, and all uses among them."""

    files: dict = field(default_factory=dict)
    uses: list = field(default_factory=list)

    def rooms(self):
        """The names of the parts at the top."""
        return {part[0] for part in self.files if part}

    def arrows(self):
        """For each part that holds others: (user, used) among these, with every Use that shows it.

        A use deep inside one part of something deep inside another is an arrow between the two that lie side by side. What
        a part and one that holds it have with each other is none.
        """
        found = {}
        for use in sorted(self.uses, key=lambda use: (use.file, use.line)):
            depth = next((n for n, (a, b) in enumerate(zip(use.user, use.used)) if a != b), None)
            if depth is not None:
                arrow = use.user[: depth + 1], use.used[: depth + 1]
                found.setdefault(use.user[:depth], {}).setdefault(arrow, []).append(use)
        return found


@dataclass
class Table:
    """The layers of one house as scripts/layers.txt states them."""

    name: str
    language: str
    folder: str
    place: str
    rows: dict = field(default_factory=dict)
    apart: list = field(default_factory=list)

    def faults(self):
        """What is wrong with the table by itself: a row that names an unknown room, or one that stands above it."""
        order = list(self.rows)
        for row, (room, (may_use, place)) in enumerate(self.rows.items()):
            for other in may_use - {EVERYTHING}:
                if other not in self.rows:
                    yield f"{place}: {room} may use {other}, which is no room of {self.folder}"
                elif order.index(other) <= row:
                    yield f"{place}: {room} may use {other}, which does not stand below it: so a circle could be allowed"
        for room in self.apart:
            if room not in self.rows:
                yield f"{self.place}: {room} is no room of {self.folder}"

    def allows(self, user, used):
        """Whether the room `user` may use the room `used`."""
        may_use = self.rows[user][0]
        return used in may_use or EVERYTHING in may_use


def read_tables(path):
    """The tables of a file such as scripts/layers.txt, which says how they are written."""
    tables = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            place = f"{path}:{number}"
            if not words:
                continue
            if words[0].endswith(":") and len(words) == 3:
                tables.append(Table(words[0][:-1], words[1], words[2], place))
            elif tables and words[0] == "apart" and len(words) > 1:
                tables[-1].apart += words[1:]
            elif tables and words[1:2] == ["->"] and words[0] not in tables[-1].rows:
                tables[-1].rows[words[0]] = set(words[2:]), place
            else:
                raise SystemExit(f"layer check: {place}: neither a house nor a new room nor apart: {line.strip()}")
    return tables


def circles(arrows):
    """Circles of parts that use each other, so many that every part that is in one is shown in one; a circle is the list
    of its steps, each a Use."""
    after = {}
    for user, used in arrows:
        after.setdefault(user, set()).add(used)
    covered = set()
    for start in sorted(after):
        if start in covered:
            continue
        # Breadth first, so that the way back to the start is a shortest one.
        came_from, queue = {}, [start]
        for part in queue:
            for following in sorted(after.get(part, ())):
                if following not in came_from:
                    came_from[following] = part
                    queue.append(following)
        if start not in came_from:
            continue
        way = [start]
        while len(way) == 1 or way[-1] != start:
            way.append(came_from[way[-1]])
        way.reverse()
        covered.update(way)
        yield [arrows[step][0] for step in zip(way, way[1:])]


def once(lines):
    """The lines, each where it comes first: a path may lead to several parts."""
    return list(dict.fromkeys(lines))


def check(house, table):
    """What the house does against its table, as (rule, lines that break it)."""
    rooms = house.rooms()
    arrows = house.arrows()
    yield "the table of layers is read from the top down and names rooms that it has", list(table.faults())
    yield "every room stands in the table of layers, and every row of it is a room", [
        f"{table.place}: {table.folder}/{room} exists and has no row" for room in sorted(rooms - set(table.rows))
    ] + [
        f"{place}: there is no room {table.folder}/{room}"
        for room, (_, place) in table.rows.items() if room not in rooms
    ]  # fmt: skip
    yield "a room uses no other ones than the table of layers allows", once(
        f"{use}: {user} may not use {used}"
        for ((user,), (used,)), uses in arrows.get((), {}).items()
        if user in table.rows and not table.allows(user, used)
        for use in uses
    )
    yield "parts of a room that are to stay apart never use each other", once(
        str(use) for room in table.apart for uses in arrows.get((room,), {}).values() for use in uses
    )
    lines = []
    for level in sorted(arrows):
        for circle in circles(arrows[level]):
            parts = [house.files[use.user[: len(level) + 1]] for use in circle]
            lines.append(" -> ".join(parts + parts[:1]))
            lines += [f"    {use}" for use in circle]
    yield "no file uses one that uses it in turn, directly or by way of others", lines


def portrait(house, table):
    """The rooms from the top down with the arrows that there are, each to a room further down, as lines."""
    used = {}
    for (user,), (other,) in house.arrows().get((), {}):
        used.setdefault(user, set()).add(other)
    width = max(map(len, table.rows))
    yield f"{table.name}: {table.folder}"
    for room in table.rows:
        below = [other for other in table.rows if other in used.get(room, ())]
        yield f"    {room:{width}} -> {' '.join(below)}".rstrip(" ->")
