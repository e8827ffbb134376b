"""Classical decompositions, fitted to an array of samples: one method, one file."""

from toymodels.classical.base import Classical, Rows
from toymodels.classical.ica import ICA
from toymodels.classical.kmeans import KMeans
from toymodels.classical.ksvd import KSVD
from toymodels.classical.mod import MOD
from toymodels.classical.nmf import NMF
from toymodels.classical.online import OnlineDictionary
from toymodels.classical.pca import PCA

__all__ = [
    "ICA",
    "KSVD",
    "MOD",
    "NMF",
    "PCA",
    "Classical",
    "KMeans",
    "OnlineDictionary",
    "Rows",
]
