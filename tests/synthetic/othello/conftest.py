"""A referee in plain Python: squares are pairs, boards are dictionaries."""

import itertools

import pytest

BLACK, WHITE = 1, -1
STEPS = [step for step in itertools.product((-1, 0, 1), repeat=2) if step != (0, 0)]


class Referee:
    """One game. `board` maps the occupied squares (row, column) to colours."""

    def __init__(self, size, variant="classic", board=None, to_move=BLACK):
        self.size, self.variant, self.to_move = size, variant, to_move
        self.squares = list(itertools.product(range(size), repeat=2))
        self.board = self.start() if board is None else dict(board)

    def start(self):
        a, b = self.size // 2 - 1, self.size // 2
        if self.variant == "del_flank":
            a, b = a - 1, b + 1
            return {(a, a): BLACK, (b, b): BLACK, (a, b): WHITE, (b, a): WHITE}
        return {(a, a): WHITE, (b, b): WHITE, (a, b): BLACK, (b, a): BLACK}

    def flanked(self, square, colour, step):
        """The discs between `square` and the first own disc in one direction."""
        found, (r, c), (dr, dc) = [], square, step
        while True:
            r, c = r + dr, c + dc
            disc = self.board.get((r, c))
            if disc is None:
                return []
            if disc == colour:
                return found
            found.append((r, c))

    def taken(self, square, colour):
        """What a move on `square` flips or removes."""
        taken = set()
        for step in STEPS:
            line = self.flanked(square, colour, step)
            if self.variant == "no_mid_flip":
                line = line[:1] + line[-1:]
            taken |= set(line)
        return taken

    def may_play(self, square, colour):
        if square in self.board:
            return False
        if self.variant == "del_flank":
            (r, c) = square
            return any(self.board.get((r + a, c + b)) == colour for a, b in STEPS)
        return any(self.flanked(square, colour, step) for step in STEPS)

    def moves(self, colour=None):
        colour = self.to_move if colour is None else colour
        return [square for square in self.squares if self.may_play(square, colour)]

    def play(self, square):
        """Plays for the side to move and hands the turn on; returns what was taken."""
        assert self.may_play(square, self.to_move)
        taken = self.taken(square, self.to_move)
        for disc in taken:
            if self.variant == "del_flank":
                del self.board[disc]
            else:
                self.board[disc] = self.to_move
        self.board[square] = self.to_move
        if self.moves(-self.to_move):
            self.to_move = -self.to_move
        return taken

    def of(self, colour):
        return {square for square, disc in self.board.items() if disc == colour}


@pytest.fixture(scope="session")
def referee():
    return Referee
