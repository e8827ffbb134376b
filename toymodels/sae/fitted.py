"""A fitted dictionary, and a study of several: what `fit` and `fit_many` give back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from toymodels.sae import saved
from toymodels.training.loop import History


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, repr=False)
class Fitted:
    """A variant together with its weights: the object that stands for a fitted dictionary.

    Whatever takes a dictionary takes it: `score`, `score_many`, `assert_recovers`, probes
    and the exchange of weights. It is a pytree of `dictionary` and `params`, so it can be
    an argument of a jitted function; there it has no history.

    Attributes:
        dictionary: the variant, such as `TopK(64, k=3)`.
        params: its weights, in the variant's own container.
        history: one row of metrics per chunk of training; None where it was not trained
            here.
    """

    dictionary: Any
    params: Any
    history: History | None = None

    def tree_flatten(self):
        return (self.dictionary, self.params), None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)

    @property
    def n_latents(self) -> int:
        """The number of latents."""
        return self.dictionary.n_latents

    @property
    def d_model(self) -> int:
        """The width of the space that the dictionary decodes to."""
        return self.params.W_dec.shape[-1]

    @property
    def directions(self) -> Float[Array, "latent d_model"]:
        """The rows of the decoder, one learned direction per latent."""
        return self.params.W_dec

    def encode(self, x: Any) -> Float[Array, "*batch latent"]:
        """The codes z of samples x [..., d_model], each sample on its own."""
        return encode(self.dictionary, self.params, x)

    def decode(self, z: Float[Array, "*batch latent"]) -> Array:
        """The reconstructions x_hat [..., d_model] of codes z [..., latent]."""
        return decode(self.dictionary, self.params, z)

    def __call__(self, x: Any) -> Array:
        """The reconstruction of x, that is decode(encode(x))."""
        return self.decode(self.encode(x))

    def save(self, path: str | Path) -> None:
        """Writes the variant and its weights to one safetensors file.

        The file is written whole or not at all, and an older file of that name stays as it
        was until then. `toymodels.load` reads it.

        Raises:
            ValueError: the variant holds something that is neither a number nor another
                variant, such as a function.
        """
        saved.write(Path(path), self.dictionary, self.params)

    def __repr__(self) -> str:
        made = type(self.dictionary).__name__
        steps = "" if self.history is None else f", {int(self.history.step[-1]):,} steps"
        return f"Fitted({made}, {self.n_latents} latents{steps})"


# Outside the class, so that fits which differ in leaves alone share one program.
@jax.jit
def encode(dictionary: Any, params: Any, x: Any) -> Array:
    """`dictionary.encode(params, x)`, compiled once for all dictionaries of one shape."""
    return dictionary.encode(params, x)


@jax.jit
def decode(dictionary: Any, params: Any, z: Array) -> Array:
    """`dictionary.decode(params, z)`, compiled once for all dictionaries of one shape."""
    return dictionary.decode(params, z)


def load(path: str | Path, variants: tuple[type, ...] = ()) -> Fitted:
    """The dictionary that `Fitted.save` wrote.

    Args:
        path: the file.
        variants: classes of your own that the file may name. Those of `toymodels.sae` are
            known; nothing else is imported.

    Raises:
        ValueError: the file is missing, cut off, of another version, names a variant that
            is not known, or holds weights that do not fit it.
    """
    return Fitted(*saved.read(Path(path), variants))


@dataclass(frozen=True, repr=False)
class Study(Mapping[str, tuple[Fitted, ...]]):
    """Several dictionaries, each fitted from several seeds: name -> one `Fitted` per seed.

    Attributes:
        fits: by name, in the order in which the dictionaries were given.
    """

    fits: Mapping[str, tuple[Fitted, ...]]

    def __getitem__(self, name: str) -> tuple[Fitted, ...]:
        if name not in self.fits:
            raise KeyError(
                f"there is no dictionary {name!r}, but {', '.join(self.fits)}; choose one"
            )
        return self.fits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fits)

    def __len__(self) -> int:
        return len(self.fits)

    @property
    def n_seeds(self) -> int:
        """The number of fits of each dictionary."""
        return len(next(iter(self.fits.values())))

    @property
    def params(self) -> Any:
        """The weights with leading axes [dictionary, seed].

        Raises:
            ValueError: the dictionaries' weights differ in shape, so they do not stack.
        """
        rows = [[fit.params for fit in of_seeds] for of_seeds in self.fits.values()]
        shapes = {str(jax.tree.map(jnp.shape, row[0])) for row in rows}
        if len(shapes) > 1:
            raise ValueError(
                f"the dictionaries have {len(shapes)} shapes of weights, expected one; "
                "read the weights of each dictionary from its own fits"
            )
        by_seed = [jax.tree.map(lambda *leaves: np.stack(leaves), *row) for row in rows]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *by_seed)

    def __repr__(self) -> str:
        return f"Study({len(self)} dictionaries x {self.n_seeds} seeds: {', '.join(self)})"
